"""How long does training stand still for a checkpoint, in the background and waited for?

Run as: .venv/bin/python benchmarks/trainer/stall.py [--saves 7] [--steps 4] [--folder DIR]

A random Llama of 30 million parameters trains with AdamW (12 bytes of state a parameter). Its state
is saved again and again, by turns in both ways, on the same disk; after each save training goes on
for some steps. Two things are told:

    stall   what the training thread spends in a save: in the call, and where the optimizer waits
    lost    how much longer a save and the steps after it take than those steps without one; the
            background shares processor, memory and disk with training, so this is more

Afterwards every checkpoint is verified byte by byte: both ways must be equally durable.
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
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from uncensor_trainer.checkpoints import Checkpoints, fault_of
from uncensor_trainer.progress import Progress
from uncensor_trainer.saving import Saver
from uncensor_trainer.state_files import Piece
from uncensor_trainer.training_state import TrainingState

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "trainer-stall.json"
SHAPE = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "vocab_size": 8000}
TOKENS = (8, 128)


class Training:
    """A model in training; a step is forward, backward and optimizer."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = LlamaForCausalLM(LlamaConfig(**SHAPE))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)
        self._tokens = torch.randint(0, SHAPE["vocab_size"], TOKENS)

    def step(self) -> None:
        self.model(input_ids=self._tokens, labels=self._tokens).loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def seconds(self, steps: int) -> float:
        began = time.monotonic()
        for _ in range(steps):
            self.step()
        return time.monotonic() - began


class Watched:
    """The state of a training, and how long its optimizer waited."""

    def __init__(self, training: Training) -> None:
        self._state = TrainingState(
            training.model, SimpleNamespace(optimizer=training.optimizer), None
        )
        self.waited = 0.0

    def pieces(self) -> list[Piece]:
        return self._state.pieces()

    def before_change(self, wait: Callable[..., None]) -> None:
        def timed(*_: Any) -> None:
            began = time.monotonic()
            wait()
            self.waited += time.monotonic() - began

        self._state.before_change(timed)


class Way:
    """One way of saving, and what it took."""

    def __init__(self, folder: Path, training: Training, *, asynchronous: bool) -> None:
        folder.mkdir()
        self.checkpoints = Checkpoints(folder, digest="d", keep_latest=1)
        progress = Progress("train", stream=io.StringIO())
        self._training, self._state = training, Watched(training)
        self._saver = Saver(self._state, self.checkpoints, progress, asynchronous=asynchronous)
        self.stalls: list[float] = []
        self.seconds: list[float] = []

    def save(self, step: int, steps: int) -> None:
        """Save, train on for some steps, and see that the save is committed."""
        began, self._state.waited = time.monotonic(), 0.0
        self._saver.save(step, {}, lambda folder: None)
        stalled = time.monotonic() - began
        self._training.seconds(steps)
        self._saver.wait()
        self.stalls.append(stalled + self._state.waited)
        self.seconds.append(time.monotonic() - began)

    def shown(self, alone: float) -> dict[str, Any]:
        """The first save makes memory and files; it is told, but not in the medians."""
        return {
            "stallSeconds": [round(one, 4) for one in self.stalls],
            "medianStallSeconds": round(self.stall, 4),
            "medianLostSeconds": round(statistics.median(self.seconds[1:]) - alone, 3),
        }

    @property
    def stall(self) -> float:
        return statistics.median(self.stalls[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--saves", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="after each save")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        result = _measured(Path(scratch), arguments.saves, arguments.steps)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def _measured(folder: Path, saves: int, steps: int) -> dict[str, Any]:
    training, load = Training(), os.getloadavg()[0]
    training.seconds(2)
    waited = Way(folder / "waited", training, asynchronous=False)
    behind = Way(folder / "behind", training, asynchronous=True)
    alone = []
    for step in range(1, saves + 1):
        alone.append(training.seconds(steps))
        for way in (waited, behind):
            way.save(step, steps)
    without = statistics.median(alone)
    faults = [fault_of(way.checkpoints.folder / f"step-{saves}") for way in (waited, behind)]
    numbers = sum(parameter.numel() for parameter in training.model.parameters())
    return {
        "command": "python " + " ".join(["benchmarks/trainer/stall.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "load": {"before": load, "after": os.getloadavg()[0]},
        "stateMiB": numbers * 12 // 2**20,
        "stepSeconds": round(without / steps, 3),
        "waited": waited.shown(without),
        "background": behind.shown(without),
        "stallRatio": round(behind.stall / waited.stall, 4),
        "faults": faults,
    }


if __name__ == "__main__":
    main()
