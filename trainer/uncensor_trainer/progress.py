"""Live progress: one JSON object a line on standard output, at most one a second.

The operator reads it through pods/log, the local runner through a pipe.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import TextIO

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

MIN_SECONDS_BETWEEN_LINES = 1.0


class Phase(Enum):
    """What a stage is busy with; only training shows steps."""

    WORKING = "working"
    LOADING = "loading"
    TRAINING = "training"
    SAVING = "saving"
    EXPORTING = "exporting"


class Progress:
    """Writes the events of one stage; silent on every rank but 0.

    Attributes:
        stage: its name.
        phase: what it is busy with.
        step: the unit that was done last.
    """

    def __init__(
        self,
        stage: str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        silent: bool | None = None,
    ) -> None:
        self.stage = stage
        self._stream = stream or sys.stdout
        self._clock = clock
        self._silent = os.environ.get("RANK", "0") != "0" if silent is None else silent
        self._last = float("-inf")
        self._lock = threading.Lock()
        self.phase = Phase.WORKING
        self.step = 0
        self._moved = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last sign of work."""
        return time.monotonic() - self._moved

    def alive(self, step: int | None = None) -> None:
        """Remember a sign of work, on every rank."""
        self.step = self.step if step is None else step
        self._moved = time.monotonic()

    def enter(self, phase: Phase) -> None:
        """Remember what the stage is busy with from here on."""
        self.phase = phase
        self.alive()

    def event(self, kind: str, **values: Json) -> None:
        """Write one event at once, whatever was written before."""
        if self._silent:
            return
        line = {"event": kind, "stage": self.stage, **values}
        try:
            # In one piece, and one at a time: saves and heartbeats speak from threads of their own.
            with self._lock:
                self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
                self._stream.flush()
        except BrokenPipeError:
            # Whoever looked on is gone, perhaps killed; the work, and saving it, goes on.
            self._silent = True

    def note(self, message: str) -> None:
        """Write a sentence that a person should see in the log."""
        self.event("note", message=message)

    def update(self, step: int, total: int | None = None, **values: Json) -> None:
        """Report `step` of `total` units; dropped when the last line is under a second old.

        The last unit is always written, so that a reader sees 100 %.
        """
        self.alive(step)
        now = self._clock()
        if now - self._last < MIN_SECONDS_BETWEEN_LINES and step != total:
            return
        self._last = now
        self.event("progress", step=step, total=total, **values)
