"""Signs of life, in processes that really hang."""

import json
import os
import subprocess
import sys

import pytest

from uncensor_trainer.heartbeat import stall_timeout

STAGE = """
import sys, threading, time
from pathlib import Path
from uncensor_trainer import heartbeat
from uncensor_trainer.progress import Phase, Progress

heartbeat.SECONDS_BETWEEN_LINES = heartbeat.SECONDS_BETWEEN_FILES = 0.3
heartbeat.SECONDS_FOR_OTHERS = 0
folder, behaviour = Path(sys.argv[1]), sys.argv[2]
progress = Progress("train")

def on_stall(message):
    progress.event("failed", message=message)
    import os
    os._exit(79)

def stuck_in_a_collective():
    threading.Event().wait(60)

with heartbeat.Heartbeat(
    progress, file=folder / "heartbeat.json", stacks=folder / "stacks",
    timeout=1.0, on_stall=on_stall,
):
    if behaviour == "long phase":
        progress.enter(Phase.LOADING)
        time.sleep(2)
    progress.enter(Phase.TRAINING)
    for step in range(1, 9):
        time.sleep(0.2)
        progress.alive(step)
    if behaviour == "hangs":
        stuck_in_a_collective()
print("ended")
"""


def stage(folder, behaviour):
    process = subprocess.run(
        [sys.executable, "-c", STAGE, str(folder), behaviour],
        env={**os.environ, "RANK": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    *lines, last = process.stdout.splitlines()
    return process.returncode, [json.loads(line) for line in lines], last


@pytest.mark.parametrize("behaviour", ["works", "long phase"])
def test_a_working_stage_shows_life_and_is_left_alone(tmp_path, behaviour):
    code, lines, last = stage(tmp_path, behaviour)
    assert (code, last) == (0, "ended")
    assert {line["event"] for line in lines} == {"heartbeat"}
    assert set(lines[0]) == {"event", "stage", "phase", "step", "idle_seconds"}
    assert lines[-1]["phase"] == "training"
    file = json.loads((tmp_path / "heartbeat.json").read_text())
    assert (file["step"], file["phase"]) == (8, "training")
    assert not (tmp_path / "stacks").exists()


def test_a_hanging_stage_leaves_its_stacks_and_ends_with_79(tmp_path):
    code, _, last = stage(tmp_path, "hangs")
    assert code == 79
    assert "Nothing has moved for 1 seconds while training (step 8)" in json.loads(last)["message"]
    (stacks,) = (tmp_path / "stacks").iterdir()
    assert stacks.name.startswith("train-rank0-")
    assert "stuck_in_a_collective" in stacks.read_text()


HANGING_TOGETHER = """
import os, sys, time
from pathlib import Path
import torch.distributed as torch_dist
from uncensor_trainer import dist, heartbeat
from uncensor_trainer.progress import Phase, Progress

folder = Path(sys.argv[1])
torch_dist.init_process_group(
    "gloo", init_method=f"file://{folder}/store", rank=dist.rank(), world_size=2
)

def waits_for_the_other():
    torch_dist.barrier()

def is_somewhere_else():
    time.sleep(600)

progress = Progress("train")
with heartbeat.Heartbeat(
    progress, file=None, stacks=folder / "stacks", timeout=2.0, on_stall=lambda _: os._exit(79)
):
    torch_dist.barrier()
    progress.enter(Phase.TRAINING)
    waits_for_the_other() if dist.is_main() else is_somewhere_else()
"""


def test_the_stacks_of_all_processes_show_who_is_missing(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HANGING_TOGETHER, str(tmp_path)],
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
        )
        for rank in (0, 1)
    ]
    assert [process.wait() for process in processes] == [79, 79]
    waiting, missing = sorted((tmp_path / "stacks").iterdir())
    assert "waits_for_the_other" in waiting.read_text()
    assert "is_somewhere_else" in missing.read_text()


@pytest.mark.parametrize(
    ("text", "seconds"), [("", None), ("0", None), ("1800", 1800.0), ("soon", None), ("-1", None)]
)
def test_hanging_is_looked_for_only_when_told_after_how_long(monkeypatch, text, seconds):
    monkeypatch.setenv("UNCENSOR_STALL_TIMEOUT_SECONDS", text)
    assert stall_timeout() == seconds
