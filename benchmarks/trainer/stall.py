"""How long does training stand still for a checkpoint, in the background and waited for?

Run as: .venv/bin/python benchmarks/trainer/stall.py [--parameters 30] [--saves 7] [--folder DIR]

Saves the state of so many million parameters (12 bytes each: weight and two moments) again and
again, by turns in both ways, on the same disk. In between something computes, as training would,
so that the background has to share the processor; a step of it is timed with and without a save
under way. Afterwards every checkpoint is verified byte by byte: both ways must be equally durable.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from uncensor_trainer.checkpoints import Checkpoints, fault_of
from uncensor_trainer.progress import Progress
from uncensor_trainer.saving import Saver
from uncensor_trainer.state_files import Piece

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "trainer-stall.json"
MILLION = 1_000_000
KINDS = ("weight", "exp_avg", "exp_avg_sq")


class Numbers:
    """Random weights and moments, in parameters of a million."""

    def __init__(self, millions: int) -> None:
        self._pieces = [
            Piece(kind, f"layer.{number}", 0, torch.rand(MILLION))
            for kind in KINDS
            for number in range(millions)
        ]

    def pieces(self) -> list[Piece]:
        return self._pieces


class Way:
    """One way of saving, and what it took."""

    def __init__(self, folder: Path, numbers: Numbers, *, asynchronous: bool) -> None:
        folder.mkdir()
        self.checkpoints = Checkpoints(folder, digest="d", keep_latest=1)
        progress = Progress("train", stream=io.StringIO())
        self._saver = Saver(numbers, self.checkpoints, progress, asynchronous=asynchronous)
        self.stalls: list[float] = []
        self.processor: list[float] = []
        self.seconds: list[float] = []
        self.steps: list[float] = []

    def save(self, step: int) -> None:
        began, processor = time.monotonic(), time.thread_time()
        self._saver.save(step, {}, lambda folder: None)
        self.stalls.append(time.monotonic() - began)
        self.processor.append(time.thread_time() - processor)
        while self.checkpoints.partial(step).exists():
            self.steps.append(_seconds_of_a_step())
        self._saver.wait()
        self.seconds.append(time.monotonic() - began)


def _seconds_of_a_step() -> float:
    began = time.monotonic()
    matrix = torch.ones(768, 768)
    for _ in range(8):
        matrix = matrix @ matrix * 1e-3
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=int, default=30, help="in millions")
    parser.add_argument("--saves", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        result = _measured(Path(scratch), arguments.parameters, arguments.saves)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def _measured(folder: Path, millions: int, saves: int) -> dict[str, Any]:
    numbers = Numbers(millions)
    waited = Way(folder / "waited", numbers, asynchronous=False)
    behind = Way(folder / "behind", numbers, asynchronous=True)
    alone = []
    for step in range(1, saves + 1):
        alone += [_seconds_of_a_step() for _ in range(5)]
        for way in (waited, behind):
            way.save(step)
    faults = [fault_of(way.checkpoints.folder / f"step-{saves}") for way in (waited, behind)]
    # The first save of each way allocates and fills caches.
    stalls = {way: statistics.median(way.stalls[1:]) for way in (waited, behind)}
    # What the training thread itself computes, whoever else wants the processor; the time that
    # a save waits for the disk is not in it, so the true ratio on an idle machine is lower.
    processor = {way: statistics.median(way.processor[1:]) for way in (waited, behind)}
    return {
        "command": "python " + " ".join(["benchmarks/trainer/stall.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "loadAfter": os.getloadavg()[0],
        "stateMiB": millions * MILLION * 12 // 2**20,
        "saves": saves,
        "waited": _shown(waited),
        "background": _shown(behind),
        "stallRatio": round(stalls[behind] / stalls[waited], 4),
        "processorRatio": round(processor[behind] / processor[waited], 4),
        "stepSecondsAlone": round(statistics.median(alone), 4),
        "stepSecondsDuringASave": round(statistics.median(behind.steps), 4),
        "faults": faults,
    }


def _shown(way: Way) -> dict[str, Any]:
    return {
        "stallSeconds": [round(one, 3) for one in way.stalls],
        "medianProcessorSeconds": round(statistics.median(way.processor[1:]), 3),
        "medianStallSeconds": round(statistics.median(way.stalls[1:]), 3),
        "medianSecondsUntilCommitted": round(statistics.median(way.seconds[1:]), 3),
    }


if __name__ == "__main__":
    main()
