"""Signs of life while a stage works, and an end with its stacks when it hangs.

A thread writes `heartbeat.json` and, every so often, a line of the event "heartbeat" to standard
output, also while a long save or an evaluation shows no progress:

    {"event": "heartbeat", "stage": "train", "phase": "saving", "step": 120, "idle_seconds": 3.1}

`idle_seconds` counts from the last step (in other phases: from the last sign of work), so a reader
can tell a living process from a working one. In training, UNCENSOR_STALL_TIMEOUT_SECONDS makes the
process end itself when that grows too old: every process writes the stacks of its threads to
`runs/<run>/stacks/`, and the stage ends with exits.ExitCode.HANGING. Training usually hangs in a
collective operation of which one process has fallen out; the stacks of all show which.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from uncensor_trainer import dist
from uncensor_trainer.progress import Json, Phase, Progress

VARIABLE = "UNCENSOR_STALL_TIMEOUT_SECONDS"
SECONDS_BETWEEN_LINES = 15.0
SECONDS_BETWEEN_FILES = 2.0
SECONDS_BETWEEN_LOOKS = 0.25
# Loading and exporting a large model show nothing for long; the limit is at least this there.
LONG_PHASE_SECONDS = 1800.0
# The others time out at about the same time; they need a moment to write their stacks too.
SECONDS_FOR_OTHERS = 3.0
# When even this thread cannot run (a library holds Python's lock), a thread in C takes over.
SECONDS_UNTIL_C = 60.0


def stall_timeout() -> float | None:
    """Return the seconds without a step after which training counts as hanging; None for never."""
    text = os.environ.get(VARIABLE, "").strip()
    try:
        seconds = float(text or 0)
    except ValueError:
        return None
    return seconds if seconds > 0 else None


class Heartbeat:
    """The thread; a context manager around the work of a stage."""

    def __init__(
        self,
        progress: Progress,
        *,
        file: Path | None,
        stacks: Path,
        timeout: float | None,
        on_stall: Callable[[str], None],
    ) -> None:
        self._progress = progress
        self._file = file
        self._stacks = stacks
        self._timeout = timeout
        self._on_stall = on_stall
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._timeout is not None:
            faulthandler.cancel_dump_traceback_later()
        self._write_file()

    def _beat(self) -> None:
        next_file = next_line = time.monotonic() + SECONDS_BETWEEN_FILES
        next_line += SECONDS_BETWEEN_LINES - SECONDS_BETWEEN_FILES
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            now = time.monotonic()
            if now >= next_file:
                next_file = now + SECONDS_BETWEEN_FILES
                self._write_file()
                self._arm_c()
            if now >= next_line:
                next_line = now + SECONDS_BETWEEN_LINES
                self._progress.event("heartbeat", **self._pulse())
            limit = self._limit()
            if limit is not None and self._progress.idle_seconds > limit:
                self._end(limit)

    def _pulse(self) -> dict[str, Json]:
        progress = self._progress
        return {
            "phase": progress.phase.value,
            "step": progress.step,
            "idle_seconds": round(progress.idle_seconds, 1),
        }

    def _limit(self) -> float | None:
        if self._timeout is None or self._progress.phase is Phase.TRAINING:
            return self._timeout
        return max(self._timeout, LONG_PHASE_SECONDS)

    def _write_file(self) -> None:
        """Whole or the one before, but not flushed to the disk: it says nothing after a crash."""
        if self._file is None or not dist.is_main():
            return
        partial = self._file.with_name(f".{self._file.name}.partial")
        # A full disk is found by those who have something to lose.
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({**self._pulse(), "time": time.time()}), encoding="utf-8")
            partial.replace(self._file)

    def _arm_c(self) -> None:
        """Postpone the end by the C thread, which comes when this thread stands still."""
        limit = self._limit()
        if limit is not None:
            faulthandler.dump_traceback_later(limit + SECONDS_UNTIL_C, exit=True)

    def _end(self, limit: float) -> None:
        name = f"{self._progress.stage}-rank{dist.rank()}-{time.strftime('%Y%m%dT%H%M%S')}.txt"
        with contextlib.suppress(OSError):
            self._stacks.mkdir(parents=True, exist_ok=True)
            with (self._stacks / name).open("w", encoding="utf-8") as file:
                faulthandler.dump_traceback(file=file, all_threads=True)
        time.sleep(SECONDS_FOR_OTHERS)
        phase, step = self._progress.phase.value, self._progress.step
        self._on_stall(
            f"Nothing has moved for {limit:.0f} seconds while {phase} (step {step}). The stacks of "
            f"every process are in {self._stacks}. The same command goes on from the last "
            "checkpoint."
        )
