"""What all processes of a stage agree on; a single process agrees with itself.

A decision that one process takes alone (it got a signal, its clock says so) would leave the
others waiting in a collective operation for ever. So decisions and errors are exchanged here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as torch_dist

from uncensor_trainer import dist
from uncensor_trainer.exits import StageError, as_stage_error

T = TypeVar("T")


def barrier() -> None:
    """Wait until every process is here."""
    if _distributed():
        torch_dist.barrier()


def any_rank(*flags: bool) -> tuple[bool, ...]:
    """Return each flag as True when it is True on at least one process."""
    if not _distributed():
        return flags
    votes = torch.tensor(flags, dtype=torch.int32, device=_device())
    torch_dist.all_reduce(votes, op=torch_dist.ReduceOp.MAX)
    return tuple(bool(vote) for vote in votes.tolist())


def from_main(make: Callable[[], T]) -> T:
    """Run `make` on the main process and return its value everywhere.

    Raises:
        StageError: what `make` raised, on every process, so that all end with the same word.
    """
    if not _distributed():
        return make()
    parcel: list[object] = [None, None]
    if dist.is_main():
        try:
            parcel[0] = make()
        except Exception as error:
            torch_dist.broadcast_object_list([None, _portable(error)], src=0)
            raise
    torch_dist.broadcast_object_list(parcel, src=0)
    value, failure = parcel
    if isinstance(failure, Exception):
        raise failure
    return value  # type: ignore[return-value]  # what the main process made


def _portable(error: Exception) -> Exception:
    """Return an error that survives pickling."""
    known: StageError | None = as_stage_error(error)
    return known or RuntimeError(f"process 0 failed: {type(error).__name__}: {error}")


def _distributed() -> bool:
    return torch_dist.is_available() and torch_dist.is_initialized()


def _device() -> torch.device:
    """NCCL moves GPU memory only, gloo moves either."""
    if torch_dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
