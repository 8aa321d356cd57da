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

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.2


@contextmanager
def run_lock(
    run_dir: Path,
    *,
    wait_seconds: float = WAIT_SECONDS,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Hold the lock of a run folder; yields its descriptor for child processes.

    Raises:
        UncensorError: another process keeps it for longer than `wait_seconds`.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run_dir / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, run_dir, wait_seconds, on_wait)
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
    descriptor: int, run_dir: Path, wait_seconds: float, on_wait: Callable[[], None]
) -> None:
    deadline = time.monotonic() + wait_seconds
    told = False
    while not _try(descriptor):
        if not told:
            on_wait()
            told = True
        if time.monotonic() > deadline:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise UncensorError(
                f"Another process works on {run_dir} (started by process {holder}). Wait for it, "
                "or stop it, then run the same command again."
            )
        time.sleep(POLL_SECONDS)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
