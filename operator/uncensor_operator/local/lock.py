"""One writer a run: a file lock that the kernel releases when its last holder dies.

Stage processes inherit the lock, so that a killed `uncensor run` whose training still saves its
state keeps the next command out until the state is safe.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from uncensor_operator.errors import UncensorError

# While the command that began the run lives, it is simply at work: no use in waiting for it.
WAIT_SECONDS = 3.0
# When it was killed, its training is still saving a checkpoint.
SAVING_SECONDS = 900.0
POLL_SECONDS = 0.2


@contextmanager
def run_lock(
    run_dir: Path,
    *,
    wait_seconds: float = WAIT_SECONDS,
    saving_seconds: float = SAVING_SECONDS,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Hold the lock of a run folder; yields its descriptor for child processes.

    Raises:
        UncensorError: another process keeps it for longer than `wait_seconds`, or what a killed
            one left behind needs longer than `saving_seconds` to save its state.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run_dir / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, run_dir, (wait_seconds, saving_seconds), on_wait)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        os.set_inheritable(descriptor, True)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(run_dir: Path) -> bool:
    """Tell whether some process works on this run right now."""
    try:
        descriptor = os.open(run_dir / ".lock", os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try(descriptor)
    finally:
        os.close(descriptor)


def _acquire(
    descriptor: int, run_dir: Path, patience: tuple[float, float], on_wait: Callable[[], None]
) -> None:
    began = time.monotonic()
    told = False
    while not _try(descriptor):
        if not told:
            on_wait()
            told = True
        holder = _holder(descriptor)
        at_work, saving = patience
        if time.monotonic() - began > (at_work if _lives(holder) else saving):
            raise UncensorError(
                f"Another process works on {run_dir} (started by process {holder or 'unknown'}). "
                "Wait for it, or stop it, then run the same command again."
            )
        time.sleep(POLL_SECONDS)


def _holder(descriptor: int) -> int:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    return int(text) if text.isdigit() else 0


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process > 0


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
