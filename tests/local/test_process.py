"""How the end of a stage process is read; the process is a real one, but a short script."""

import os
import signal
import sys
import time

import pytest

from support.runs import make_run
from uncensor_operator.local import process as module
from uncensor_operator.local.process import StageProcess
from uncensor_trainer.runfile import Compute


@pytest.fixture
def ended(tmp_path, monkeypatch):
    def run_script(script, listener=lambda event: None, during=lambda process: None):
        monkeypatch.setattr(module, "_command", lambda *_: [sys.executable, "-c", script])
        lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
        try:
            log = tmp_path / "logs" / "train.log"
            process = StageProcess(make_run(tmp_path), tmp_path / "run.json", "train", log, lock)
            during(process)
            return process.follow(listener), log
        finally:
            os.close(lock)

    return run_script


SAY = "import json, os, sys; open(os.environ['UNCENSOR_TERMINATION_MESSAGE'], 'w').write({!r}); "


def test_the_last_word_has_the_code_that_torchrun_swallows(ended):
    script = SAY.format('{"outcome": "failed", "code": 75, "message": "saved"}') + "sys.exit(1)"
    end, _ = ended(script)
    assert (end.code, end.message) == (75, "saved")


def test_a_last_word_of_an_earlier_try_does_not_count(ended):
    ended(SAY.format('{"outcome": "failed", "code": 64, "message": "old"}') + "sys.exit(64)")
    end, log = ended("import sys; print('what happened', file=sys.stderr); sys.exit(3)")
    assert end.code == 3
    assert "what happened" in end.message
    assert str(log) in end.message
    assert "old" not in end.message


def test_events_are_handed_on_and_chatter_goes_to_the_log(ended):
    events = []
    script = """print('{"event": "note", "message": "hello"}'); print("chatter"); print("[1]")"""
    end, log = ended(script, events.append)
    assert end.code == 0
    assert events == [{"event": "note", "message": "hello"}]
    assert "chatter" in log.read_text()


def test_the_first_stop_asks_and_the_second_ends_at_once(ended):
    def stop_twice(process):
        time.sleep(0.5)
        process.stop()
        time.sleep(0.5)
        process.stop()

    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "while True: time.sleep(1)"
    )
    end, _ = ended(deaf, during=stop_twice)
    assert end.code == -signal.SIGKILL


def test_several_processes_train_under_torchrun_and_other_stages_alone(tmp_path):
    run = make_run(tmp_path, compute=Compute(processes_per_node=4, gpus_per_node=4))
    command = module._command(run, tmp_path / "run.json", "train")
    assert command[1:5] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4"]
    assert "torch.distributed.run" not in module._command(run, tmp_path / "run.json", "filter")
    assert "torch.distributed.run" not in module._command(make_run(), tmp_path, "train")
