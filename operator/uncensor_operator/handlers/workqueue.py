"""The work queue: runs that need a look, each by one worker at a time, the failing ones later."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable

from uncensor_operator.cluster.store import Key
from uncensor_operator.telemetry import QUEUE_DEPTH, QUEUE_SECONDS

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 300.0
JITTER = 0.25
# Seconds by which a run that nobody has looked at yet goes before those that were.
HEAD_START = 120.0


class WorkQueue:
    """Keys with the time from which they are due; adding one that waits makes it due earlier."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._due: dict[Key, float] = {}
        # (rank, due, key): the rank is the time that it is due, less a head start.
        self._heap: list[tuple[float, float, Key]] = []
        self._at_work: set[Key] = set()
        self._again: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._changed = asyncio.Event()

    @property
    def overdue(self) -> int:
        """Number of runs that are due and wait for a worker."""
        now = self._clock()
        return sum(due <= now for due in self._due.values())

    def add(self, key: Key, delay: float = 0.0, *, ahead: bool = False) -> None:
        """Have a run looked at after a delay in seconds, or sooner if it is due sooner already.

        `ahead` lets it go before others that are due: people wait for the first sign of a run.
        """
        due = self._clock() + max(0.0, delay)
        if key in self._at_work:
            self._again[key] = min(due, self._again.get(key, due))
            return
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due - HEAD_START if ahead else due, due, key))
            self._changed.set()
            QUEUE_DEPTH.set(len(self._due))

    async def take(self) -> Key:
        """Wait for a run that is due, and mark it as being worked on."""
        while True:
            now = self._clock()
            key = self._pop(now)
            if key is not None:
                self._at_work.add(key)
                return key
            self._changed.clear()
            wait = self._heap[0][0] - now if self._heap else None
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def done(self, key: Key, again_in: float | None = None) -> None:
        """A pass went well; look again after `again_in`, or at what came meanwhile."""
        self._failures.pop(key, None)
        self._return(key, again_in)

    def failed(self, key: Key, at_least: float = 0.0) -> float:
        """A pass failed; return the seconds until the next try."""
        number = self._failures.get(key, 0)
        self._failures[key] = number + 1
        delay = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(number, 20))
        # Runs that failed together, because of one cause, do not come back together.
        delay = max(at_least, delay) * (1 + random.uniform(-JITTER, JITTER))  # noqa: S311
        # What came meanwhile waits too: the cause is still there.
        self._again.pop(key, None)
        self._return(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """The run is gone."""
        self._failures.pop(key, None)
        self._return(key, None)

    def _return(self, key: Key, again_in: float | None) -> None:
        self._at_work.discard(key)
        due = self._again.pop(key, None)
        if again_in is not None:
            self.add(key, again_in)
        if due is not None:
            self.add(key, due - self._clock())

    def _pop(self, now: float) -> Key | None:
        while self._heap and self._heap[0][0] <= now:
            _, due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                QUEUE_DEPTH.set(len(self._due))
                QUEUE_SECONDS.observe(max(0.0, now - due))
                return key
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return None
