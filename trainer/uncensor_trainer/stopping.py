"""SIGTERM and Ctrl-C: the first asks for a saved end, the second ends at once."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType, TracebackType
from typing import Any, Self

# torchrun passes on a signal that the terminal has already given to the whole group.
ONE_REQUEST_SECONDS = 1.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopFlag:
    """Remembers that somebody asked this process to stop; a context manager.

    Attributes:
        name: the signal that came first, or None.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._since = 0.0
        self._before: dict[signal.Signals, Any] = {}

    @property
    def is_set(self) -> bool:
        """Tell whether a stop was asked for."""
        return self.name is not None

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.name is None:
            self.name, self._since = signal.Signals(number).name, now
        elif now - self._since > ONE_REQUEST_SECONDS:
            # Nothing may run any more, least of all a half-done save; the last commit is whole.
            os.write(2, b"A second signal: ending at once; the last checkpoint stays as it is.\n")
            os._exit(128 + number)
