"""Live progress: one JSON object a line on standard output, at most one a second.

The operator reads it through pods/log, the local runner through a pipe.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

MIN_SECONDS_BETWEEN_LINES = 1.0


class Progress:
    """Writes the events of one stage; silent on every rank but 0."""

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

    def event(self, kind: str, **values: Json) -> None:
        """Write one event at once, whatever was written before."""
        if self._silent:
            return
        line = {"event": kind, "stage": self.stage, **values}
        try:
            print(json.dumps(line, ensure_ascii=False), file=self._stream, flush=True)
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
        now = self._clock()
        if now - self._last < MIN_SECONDS_BETWEEN_LINES and step != total:
            return
        self._last = now
        self.event("progress", step=step, total=total, **values)
