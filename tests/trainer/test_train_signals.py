"""Signals and kills, on the train stage in a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.faults import loaded
from support.tiny import prepared_workspace, run_file, some_rows, tiny_model
from support.training import arm_dir, checkpoints, losses, start, train, wait_for_step
from uncensor_trainer.checkpoints import Checkpoints

STEPS = 60
SLEEPER = """
import os, sys, time
from uncensor_trainer.stopping import StopFlag
with StopFlag() as stop:
    print("ready", flush=True)
    while not stop.is_set:
        time.sleep(0.01)
    print(stop.name, flush=True)
    time.sleep(600)
"""


IN_THE_MIDDLE_OF_A_SAVE = """
import sys, time
from pathlib import Path
from support.faults import save
from uncensor_trainer import state_files
from uncensor_trainer.checkpoints import Checkpoints
from uncensor_trainer.stopping import StopFlag

checkpoints = Checkpoints(Path(sys.argv[1]), digest="d", keep_latest=1)
with StopFlag():
    save(checkpoints, 1)

    def half(file, chunk):
        file.write(chunk[: len(chunk) // 2])
        print("half", flush=True)
        time.sleep(600)

    state_files._write_all = half
    save(checkpoints, 2)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def a_run(base, tmp_path_factory):
    """Return a maker of runs of 60 steps, saved every 7."""

    def make():
        run = run_file(
            tmp_path_factory.mktemp("ws"),
            base,
            training={
                "epochs": 10.0,
                "checkpoints": {"every_steps": 7, "every_minutes": 0, "keep_latest": 2},
            },
        )
        prepared_workspace(run, some_rows(24))
        return run

    return make


@pytest.fixture(scope="module")
def undisturbed(a_run):
    run = a_run()
    train(run)
    return losses(run)


def test_a_run_that_is_killed_again_and_again_comes_to_the_same_losses(a_run, undisturbed):
    run = a_run()
    for step in (9, 31):
        process = start(run)
        wait_for_step(process, run, step)
        process.kill()
        process.communicate()
        reached = losses(run)[-1][0]
        assert reached < STEPS
        saved = {int(name[5:]) for name in checkpoints(run) if name.startswith("step-")}
        # The newest may have been on its way to the disk; the one before it was there.
        assert max(saved) >= reached // 7 * 7 - 7
    train(run)
    assert losses(run) == undisturbed


def test_a_stop_saves_ends_with_75_and_loses_no_step(a_run, undisturbed):
    run = a_run()
    process = start(run)
    wait_for_step(process, run, 2)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    last = losses(run)[-1][0]
    assert process.returncode == 75
    # Every line of standard output is JSON, whatever the libraries have to say.
    end = [json.loads(line) for line in out.splitlines()][-1]
    assert (end["event"], end["reason"], end["code"]) == ("failed", "Stopped", 75)
    assert f"after step {last} of {STEPS}" in end["message"]
    assert f"step-{last}" in checkpoints(run)
    assert not (arm_dir(run) / "model").exists()
    train(run)
    assert losses(run) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(number):
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == f"{number.name}\n"
    while process.poll() is None:
        # Signals within a second are one request that came twice.
        process.send_signal(number)
        try:
            process.wait(0.3)
        except subprocess.TimeoutExpired:
            continue
    _, complaints = process.communicate()
    assert process.returncode == 128 + number
    assert "ending at once" in complaints


def test_a_second_signal_in_a_save_leaves_the_last_commit_intact(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", IN_THE_MIDDLE_OF_A_SAVE, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "half\n"
    while process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.3)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    checkpoints = Checkpoints(tmp_path, digest="d", keep_latest=1)
    assert (tmp_path / ".tmp-2").exists()
    checkpoints.clean()
    found, notes = checkpoints.newest_verified()
    assert (found.step, notes) == (1, [])
    assert loaded(found.folder, 1)
