"""What every worker of the benchmark shares: the rows, the clock, and how a result is told."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

THREADS = 2
LEARNING_RATE = 2e-5
SEED = 42


@dataclass(frozen=True)
class Job:
    """One measurement.

    rows: (ids, labels) of every row, in the order in which they are to be read; each row once.
    micro_batch, accumulation: their product is the global batch, in rows.
    """

    model: str
    rows: list[dict[str, list[int]]]
    micro_batch: int
    accumulation: int
    max_length: int
    checkpointing: bool
    setting: str

    @property
    def steps(self) -> int:
        return len(self.rows) // (self.micro_batch * self.accumulation)

    @property
    def tokens(self) -> int:
        """Tokens of rows; padding is not counted."""
        return sum(len(row["input_ids"]) for row in self.rows)


def job() -> Job:
    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    return Job(**json.loads(Path(sys.argv[1]).read_text()))


class Clock:
    """Wall and processor seconds from the first step's begin to the last one's end."""

    def start(self) -> None:
        self._began = (time.perf_counter(), time.process_time())

    def stop(self) -> None:
        self.wall = time.perf_counter() - self._began[0]
        self.processor = time.process_time() - self._began[1]
        self.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def tell(one: Job, clock: Clock, losses: list[float], **more: Any) -> None:
    result = {
        "wallSeconds": round(clock.wall, 3),
        "processorSeconds": round(clock.processor, 3),
        "tokens": one.tokens,
        "steps": len(losses),
        "losses": [round(loss, 4) for loss in losses],
        "peakMemoryBytes": clock.peak,
        **more,
    }
    Path(sys.argv[2]).write_text(json.dumps(result))
