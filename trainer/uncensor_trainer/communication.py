"""How long a process spends in the collective operations of a step.

DeepSpeed sends everything through one object of its own, so that is where the clock hangs. An
operation that is started and awaited later counts as long as it is awaited: what overlaps with
computing costs a step nothing.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

# Those that DeepSpeed's engines call while they train, by their names in its TorchBackend.
OPERATIONS = (
    "all_reduce",
    "all_reduce_coalesced",
    "reduce",
    "reduce_scatter",
    "reduce_scatter_tensor",
    "broadcast",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_coalesced",
    "all_to_all_single",
    "barrier",
)
Mark = Any  # a moment: seconds, or an event in the queue of a GPU


class CommunicationClock:
    """Adds up the time in collective operations.

    On a GPU the moments are events in its queue: work that is queued costs the processor nothing.
    Operations in a queue of their own may overlap with computing there.
    """

    def __init__(self, *, gpu: bool) -> None:
        self._gpu = gpu
        self._inside = False
        self._spans: list[tuple[Mark, Mark]] = []

    def seconds(self) -> float:
        """Return the seconds since the last look; waits until queued operations are over."""
        spans, self._spans = self._spans, []
        return sum(self._between(*span) for span in spans)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what is inside; an operation that is made of others counts once."""
        if self._inside:
            yield
            return
        self._inside = True
        began = self._mark()
        try:
            yield
        finally:
            self._inside = False
            self._spans.append((began, self._mark()))

    def timed(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same operation, counted."""

        @wraps(operation)
        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.running():
                work = operation(*args, **kwargs)
            return _Awaited(work, self) if hasattr(work, "wait") else work

        # A compiler would trace the clock instead of asking it.
        untraced: Callable[..., Any] = torch.compiler.disable(counted)  # type: ignore[no-untyped-call]
        return untraced

    def _mark(self) -> Mark:
        if not self._gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def _between(self, began: Mark, ended: Mark) -> float:
        if not self._gpu:
            return float(ended - began)
        ended.synchronize()
        return float(began.elapsed_time(ended)) / 1000


class _Awaited:
    """An operation that goes on, counted when somebody waits for it."""

    def __init__(self, work: Any, clock: CommunicationClock) -> None:
        self._work, self._clock = work, clock

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for its end."""
        with self._clock.running():
            return self._work.wait(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)


@contextmanager
def counted(clock: CommunicationClock) -> Iterator[None]:
    """Count the collective operations inside; DeepSpeed is there, and its processes are joined."""
    backend = importlib.import_module("deepspeed.comm.comm").cdb
    names = [name for name in OPERATIONS if hasattr(backend, name)]
    for name in names:
        setattr(backend, name, clock.timed(getattr(backend, name)))
    try:
        yield
    finally:
        for name in names:
            delattr(backend, name)
