"""Saving without standing still: copy the state, go on, write and commit behind.

    step boundary      a folder, and the few small files                    (training waits)
    in the background  every process copies its state into main memory (snapshot.py)
    optimizer's step   waits for the rest of the copy, if there is one      (training waits)
    in the background  every process writes its file, with its digest, and flushes it
                       all tell each other how that went; the main one commits
    next boundary      a failure of the background is raised on all processes

One save is under way at a time: the next one waits for it, so memory holds one copy and a slow
disk slows training down instead of filling the memory. A checkpoint counts when it is committed,
by the same protocol as ever (checkpoints.py); the copy changes when that happens, not what it
means. Where memory has no room for a copy, the same steps are taken one after the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch.distributed as torch_dist

from uncensor_trainer import dist
from uncensor_trainer.checkpoints import Checkpoints, Facts
from uncensor_trainer.collectives import any_rank, from_main
from uncensor_trainer.exits import as_stage_error
from uncensor_trainer.guards import free_memory, refuse_full_disk_now
from uncensor_trainer.progress import Json, Phase, Progress
from uncensor_trainer.snapshot import Snapshot
from uncensor_trainer.state_files import Piece, file_name, num_bytes, write_pieces

# A slow disk is no reason to give up a save; a dead process ends all others anyway.
WAIT_FOR_OTHERS = timedelta(hours=6)
MEMORY_TO_LEAVE = 1.25  # times the copy, so that training itself still has room


class State(Protocol):
    """What is saved: views of the optimizer's numbers (training_state.TrainingState)."""

    def pieces(self) -> list[Piece]:
        """Return views of everything that this process has to save."""
        ...

    def before_change(self, wait: Callable[..., None]) -> None:
        """Have `wait` called on the training thread before each change of the numbers."""
        ...


@dataclass(slots=True)
class _Save:
    """One save under way.

    Attributes:
        step: optimizer steps done.
        facts: what its manifest says.
        pieces: what this process writes.
        started: time.monotonic() when training began to wait.
        stalled: seconds that training waited so far.
    """

    step: int
    facts: Facts
    pieces: Sequence[Piece]
    started: float
    stalled: float = 0.0


class Saver:
    """Saves the state of all processes; every process has one and calls it at the same steps."""

    def __init__(
        self,
        state: State,
        checkpoints: Checkpoints,
        progress: Progress,
        *,
        asynchronous: bool,
    ) -> None:
        self._state = state
        self._checkpoints = checkpoints
        self._progress = progress
        self._others = _own_group()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        needed = num_bytes(state.pieces()) * dist.local_world_size()
        short = needed * MEMORY_TO_LEAVE > free_memory()
        # If one process has to wait for its disk, the others would only wait for it later.
        (no_room,) = any_rank(short and asynchronous)
        self._asynchronous = asynchronous and not no_room
        self._snapshot = Snapshot()
        self._under_way: _Save | None = None
        if self._asynchronous:
            state.before_change(self._wait_for_the_copy)
        if no_room:
            progress.note(
                "Too little memory for saving in the background; saves will be waited for."
            )

    @property
    def failed(self) -> bool:
        """Whether a save in the background went wrong; `wait` raises it."""
        return self._failure is not None

    def save(self, step: int, facts: Facts, write_rest: Callable[[Path], None]) -> None:
        """Save the state of this step; returns when training may go on.

        Args:
            step: optimizer steps done.
            facts: what the manifest says about the run.
            write_rest: writes the few small files, on every process, at once.

        Raises:
            StageError: this save or the one before cannot be written; the same on all processes.
        """
        started = time.monotonic()
        self.wait()
        folder, pieces = self._checkpoints.partial(step), self._state.pieces()
        total = sum(_exchanged(num_bytes(pieces), self._others))

        def begin() -> None:
            refuse_full_disk_now(self._checkpoints.folder, total)
            self._checkpoints.begin(step)

        from_main(begin)
        write_rest(folder)
        if not self._asynchronous:
            self._finish(_Save(step, facts, pieces, started))
            self.wait()
            return
        save = _Save(step, facts, self._snapshot.begin(pieces), started)
        self._thread = threading.Thread(
            target=self._finish, args=(save,), name=f"save-{step}", daemon=True
        )
        self._under_way = save
        save.stalled = time.monotonic() - started
        self._thread.start()

    def wait(self) -> None:
        """Wait until nothing is under way.

        Raises:
            StageError: it went wrong; the same on every process.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def close(self) -> None:
        """Give the copy's memory back, when nothing is under way and training is over."""
        self._under_way, self._snapshot = None, Snapshot()

    def _wait_for_the_copy(self, *_: Any) -> None:
        """Let the optimizer change the numbers when they are copied; it calls this itself."""
        save, self._under_way = self._under_way, None
        if save is None:
            return
        began = time.monotonic()
        self._snapshot.wait()
        save.stalled += time.monotonic() - began

    def _finish(self, save: _Save) -> None:
        """Write, exchange the outcome, commit; leaves a failure for `wait`."""
        try:
            receipt = self._written(save)
            receipts = _exchanged(receipt, self._others)
            failures = [one for one in receipts if isinstance(one, BaseException)]
            outcome = failures[0] if failures else self._committed(save, receipts)
            # The main process alone commits; whatever it says counts for all.
            self._failure = _exchanged(outcome, self._others)[0]
        except Exception as error:  # noqa: BLE001 - surfaces at the next step boundary
            self._failure = error

    def _written(self, save: _Save) -> dict[str, Json] | BaseException:
        name = file_name(dist.rank(), dist.world_size())
        try:
            if self._asynchronous:
                self._snapshot.finish()
            path = self._checkpoints.partial(save.step) / name
            return write_pieces(path, save.pieces, self._sign_of_work)
        except Exception as error:  # noqa: BLE001 - told to all processes
            return _portable(error)

    def _sign_of_work(self) -> None:
        """While training waits, bytes are progress; else they say nothing about training."""
        if self._progress.phase is Phase.SAVING:
            self._progress.alive()

    def _committed(self, save: _Save, receipts: Sequence[Any]) -> BaseException | None:
        if not dist.is_main():
            return None
        try:
            self._checkpoints.commit(save.step, save.facts, receipts)
        except Exception as error:  # noqa: BLE001 - told to all processes
            return _portable(error)
        seconds = time.monotonic() - save.started
        self._progress.event(
            "checkpoint",
            step=save.step,
            seconds=round(seconds, 3),
            stall_seconds=round(save.stalled or seconds, 3),
            bytes=sum(int(one["bytes"]) for one in receipts),
        )
        return None


def _own_group() -> Any:
    """Return a group for the background alone: its messages never mix with those of training."""
    if not torch_dist.is_available() or not torch_dist.is_initialized():
        return None
    return torch_dist.new_group(backend="gloo", timeout=WAIT_FOR_OTHERS)


def _exchanged(value: Any, group: Any) -> list[Any]:
    """Return the values of all processes, the main one's first."""
    if group is None:
        return [value]
    values: list[Any] = [None] * torch_dist.get_world_size(group)
    torch_dist.all_gather_object(values, value, group=group)
    return values


def _portable(error: Exception) -> Exception:
    """Return an error that survives pickling."""
    return as_stage_error(error) or RuntimeError(f"{type(error).__name__}: {error}")
