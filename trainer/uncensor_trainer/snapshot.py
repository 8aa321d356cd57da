"""A copy of the state in main memory, made while training already goes on.

Forward and backward passes only read what the optimizer works with. So the copy has time until
the optimizer's next step, and that step waits for what is left of it. From a GPU the copies run
on a stream of their own, into pinned memory; in main memory a thread makes them, one plain move
of bytes after another, because the threads of a tensor library would stand in training's way.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from uncensor_trainer.state_files import Piece


class Snapshot:
    """Memory for one copy, used again by every save.

    The training thread calls `begin` and, before anything changes the numbers, `wait`; whoever
    writes the copy calls `finish` first.
    """

    def __init__(self) -> None:
        self._memory = torch.empty(0)
        self._left: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._copies: torch.cuda.Stream | None = None
        self._ended = threading.Event()
        self._ended.set()

    def begin(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Return the pieces in memory of our own, which holds their numbers after `finish`."""
        numbers = sum(piece.values.numel() for piece in pieces)
        on_gpu = any(piece.values.is_cuda for piece in pieces)
        if self._memory.numel() != numbers:
            self._memory = torch.empty(numbers, dtype=torch.float32, pin_memory=on_gpu)
        targets = torch.split(self._memory, [piece.values.numel() for piece in pieces])
        self._ended.clear()
        self._left = list(zip(targets, (piece.values.detach() for piece in pieces), strict=True))
        if on_gpu:
            self._queue_on_gpu()
        return [replace(one, values=target) for one, target in zip(pieces, targets, strict=True)]

    def finish(self) -> None:
        """Make the copies that are left, and wait for those of the GPU."""
        try:
            for target, values in self._left:
                np.copyto(target.numpy(), values.contiguous().numpy())
            if self._copies is not None:
                self._copies.synchronize()
        finally:
            self._left = []
            self._ended.set()

    def wait(self, *_: Any) -> None:
        """Return when the numbers may change; also fit to be called by an optimizer."""
        self._ended.wait()

    def _queue_on_gpu(self) -> None:
        """Queue the copies behind what the GPU has to do already, beside what it will get."""
        if self._copies is None:
            self._copies = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._copies.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._copies):
            for target, values in self._left:
                if values.is_cuda:
                    target.copy_(values, non_blocking=True)
        self._left = [(target, values) for target, values in self._left if not values.is_cuda]
