"""What a training leaves to be watched: metrics.jsonl and progress lines.

Tokens are tokens of rows; padding is not counted. The clock stands still while state is saved, and
goodput says what share of this attempt's time went into steps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from uncensor_trainer.efficiency import peak_memory
from uncensor_trainer.progress import Json, Progress
from uncensor_trainer.sinks import Sinks
from uncensor_trainer.workspace import append_line, read_lines

METRICS = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class Schedule:
    """The plan of a whole training.

    Attributes:
        step_tokens: tokens of each optimizer step over all processes, int64 [steps].
        global_batch: rows of an optimizer step.
        rows: rows of the data set.
        step_flops: operations that the model needs for each step, float64 [steps]; None leaves
            MFU out.
        peak_flops: operations a second of all devices together; None where nobody knows.
    """

    step_tokens: npt.NDArray[np.int64]
    global_batch: int
    rows: int
    step_flops: npt.NDArray[np.float64] | None = None
    peak_flops: float | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return len(self.step_tokens)

    def epoch(self, step: int) -> float:
        """Return how often the data set was read after a step."""
        return step * self.global_batch / self.rows

    def mfu(self, step: int, seconds: float) -> float | None:
        """Return the model FLOPs utilisation of a step, 0 to 1; None where it is not known."""
        if self.step_flops is None or self.peak_flops is None:
            return None
        return round(float(self.step_flops[step - 1]) / (seconds * self.peak_flops), 4)


class TrainingLog:
    """Writes metrics and progress of one arm; the main process has one."""

    def __init__(
        self,
        arm_dir: Path,
        schedule: Schedule,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
        sinks: Sinks | None = None,
    ) -> None:
        self._sinks = sinks
        self.path = arm_dir / METRICS
        self._schedule = schedule
        self._progress = progress
        self._clock = clock
        self._began = self._last = clock()
        self._seconds = 0.0
        self._tokens = 0

    def begin(self, step: int) -> None:
        """Drop rows beyond the step that training goes on from: no step appears twice."""
        rows = [row for row in read_lines(self.path) if _number(row, "step") <= step]
        partial = self.path.with_name(f".{self.path.name}.partial")
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        partial.replace(self.path)
        if self._sinks is not None:
            self._sinks.begin(step)
        self._last = self._clock()

    def step(
        self,
        step: int,
        *,
        loss: float,
        learning_rate: float,
        grad_norm: float,
        parts: Mapping[str, float] | None = None,
    ) -> None:
        """Record one optimizer step that has just ended; `parts` are the parts of its time."""
        tokens = int(self._schedule.step_tokens[step - 1])
        seconds = self._lap()
        self._seconds += seconds
        self._tokens += tokens
        mfu = self._schedule.mfu(step, seconds)
        row: dict[str, Json] = {
            "step": step,
            "epoch": round(self._schedule.epoch(step), 6),
            "loss": loss,
            "learning_rate": learning_rate,
            "grad_norm": grad_norm,
            "tokens_per_second": round(tokens / seconds, 3),
            "mfu": mfu,
            "goodput": round(self._goodput(), 4),
            "step_seconds": round(seconds, 4),
            **(parts or {}),
            "peak_memory_bytes": peak_memory(),
            "time": round(time.time(), 3),
        }
        append_line(self.path, row)
        if self._sinks is not None:
            self._sinks.take(row)
        self._progress.update(
            step,
            self._schedule.steps,
            loss=round(loss, 4),
            tokens_per_second=round(self._tokens / self._seconds, 1),
            eta_seconds=round(self._seconds_left(step)),
            epoch=round(self._schedule.epoch(step), 4),
            mfu=mfu,
            learning_rate=learning_rate,
            grad_norm=round(grad_norm, 4),
        )

    def restart_clock(self) -> None:
        """Leave out the time since the last step, which went into a save."""
        self._last = self._clock()

    def summary(self) -> dict[str, Json]:
        """Return the numbers of the whole training, over all attempts.

        Loss and speed are None where somebody removed metrics.jsonl after the last step.
        """
        rows = read_lines(self.path)
        tokens = int(self._schedule.step_tokens.sum())
        seconds = sum(
            int(self._schedule.step_tokens[int(_number(row, "step")) - 1])
            / _number(row, "tokens_per_second")
            for row in rows
        )
        return {
            "steps": self._schedule.steps,
            "finalLoss": rows[-1]["loss"] if rows else None,
            "tokens": tokens,
            "tokensPerSecond": round(tokens / seconds, 1) if rows else None,
            "mfu": _mean(_numbers(rows, "mfu")),
            "goodput": _share_in_steps(rows, seconds),
            "peakMemoryBytes": int(max(_numbers(rows, "peak_memory_bytes"), default=0)),
            "seconds": round(seconds, 1),
        }

    def _goodput(self) -> float:
        """Return the share of the time since the start that went into steps, 0 to 1."""
        return min(1.0, self._seconds / max(self._clock() - self._began, self._seconds))

    def _lap(self) -> float:
        now = self._clock()
        seconds, self._last = max(now - self._last, 1e-6), now
        return seconds

    def _seconds_left(self, step: int) -> float:
        """Rows differ in length, so the rest is measured in tokens."""
        left = int(self._schedule.step_tokens[step:].sum())
        return left * self._seconds / self._tokens


def _share_in_steps(rows: list[dict[str, Json]], seconds: float) -> float | None:
    """Return the share of the time from first step to last that led on, restarts included."""
    times = _numbers(rows, "time")
    if not times:
        return None
    first = _number(rows[0], "step_seconds") if "step_seconds" in rows[0] else 0.0
    return round(min(1.0, seconds / max(times[-1] - times[0] + first, seconds, 1e-6)), 4)


def _mean(values: list[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _numbers(rows: list[dict[str, Json]], key: str) -> list[float]:
    """Return a column as far as it is there; earlier versions wrote fewer."""
    found = (row.get(key) for row in rows)
    return [value for value in found if isinstance(value, int | float)]


def _number(row: dict[str, Json], key: str) -> float:
    value = row[key]
    assert isinstance(value, int | float)  # noqa: S101 - we wrote it
    return value
