"""Running the train stage, in this process or in its own, and reading what it left."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.tiny import write_run_file
from uncensor_trainer.progress import Progress
from uncensor_trainer.run import run_stage
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.workspace import Workspace, read_lines


class Lines(io.StringIO):
    """A stream of progress lines that calls back for each."""

    def __init__(self, heard: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._heard = heard

    def write(self, text: str) -> int:
        if text.strip():
            self._heard(json.loads(text))
        return super().write(text)


def train(
    run: RunFile,
    *,
    stage: str = "train",
    stop_at: int | None = None,
    stop: signal.Signals = signal.SIGTERM,
    heard: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Run a train stage and return its progress lines; raise a signal when a step is reported.

    The lines are also appended to `heard`, for those who get an error instead.
    """
    heard = [] if heard is None else heard

    def hear(line: dict[str, Any]) -> None:
        heard.append(line)
        if line["event"] == "progress" and line["step"] == stop_at:
            signal.raise_signal(stop)

    # A clock in leaps: no line is dropped for being too soon after another.
    clock = itertools.count(step=10).__next__
    run_stage(run, stage, Progress(stage, stream=Lines(hear), clock=clock))
    return heard


def start(run: RunFile, *, processes: int = 1) -> subprocess.Popen[str]:
    """Start the train stage as the local runner does, under torchrun for several processes."""
    run_json = write_run_file(run, Path(run.workspace) / "run.json")
    launcher = ["-m"]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone"]
        launcher += ["--nproc-per-node", str(processes), "-m"]
    return subprocess.Popen(
        [sys.executable, *launcher, "uncensor_trainer", "--run-file", run_json, "--stage", "train"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(process: subprocess.Popen[str], run: RunFile, step: int) -> None:
    """Return when metrics.jsonl shows a step; fail when the process ends before."""
    while not any(row["step"] >= step for row in metrics(run)):
        if process.poll() is not None:
            raise AssertionError(f"ended before step {step}: {process.communicate()}")
        time.sleep(0.01)


def arm_dir(run: RunFile, arm: str = "filtered") -> Path:
    """Return the folder with the arm's model, checkpoints and metrics."""
    return Workspace(Path(run.workspace), run.run).arm_dir(arm)


def metrics(run: RunFile, arm: str = "filtered") -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl."""
    return read_lines(arm_dir(run, arm) / "metrics.jsonl")


def losses(run: RunFile, arm: str = "filtered") -> list[tuple[int, float]]:
    """Return (step, loss) of every row of metrics.jsonl, in file order."""
    return [(row["step"], row["loss"]) for row in metrics(run, arm)]


def checkpoints(run: RunFile, arm: str = "filtered") -> list[str]:
    """Return the names of what lies in checkpoints/."""
    return sorted(path.name for path in (arm_dir(run, arm) / "checkpoints").iterdir())
