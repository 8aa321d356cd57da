"""What every worker of the benchmark shares: the rows, the clock, and how a result is told."""

from __future__ import annotations

import json
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
    """Wall and processor seconds from the first step's begin to the last one's end, and memory.

    `peak` is the most that the process had; `added` what the later steps took on top of what was
    there after the first one: libraries, weights and the optimizer's state.
    """

    def start(self) -> None:
        self._began = (time.perf_counter(), time.process_time())
        self._steps, self._after_first, self.peak = 0, 0, 0

    def stop(self) -> None:
        """A step is over; the last call counts."""
        self.wall = time.perf_counter() - self._began[0]
        self.processor = time.process_time() - self._began[1]
        now, most = (_status(name) for name in ("VmRSS", "VmHWM"))
        self.peak = max(self.peak, most)
        self.added = most - self._after_first if self._steps else 0
        if self._steps == 0:
            self._after_first = now
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
        self._steps += 1


def _status(name: str) -> int:
    """Return a size of this process from the kernel, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def tell(one: Job, clock: Clock, losses: list[float], **more: Any) -> None:
    result = {
        "wallSeconds": round(clock.wall, 3),
        "processorSeconds": round(clock.processor, 3),
        "tokens": one.tokens,
        "steps": len(losses),
        "losses": [round(loss, 4) for loss in losses],
        "peakMemoryBytes": clock.peak,
        "addedMemoryBytes": clock.added,
        **more,
    }
    Path(sys.argv[2]).write_text(json.dumps(result))
