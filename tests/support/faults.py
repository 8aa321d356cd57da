"""Saves that are killed or refused by the disk at a chosen file operation, and damaged checkpoints.

A save runs in a forked process. There every operation below the workspace is counted: opening,
writing, flushing, renaming, making and removing. At the chosen one the process is killed (in the
middle of the bytes, where it writes) or gets the error of a full or read-only disk.
"""

from __future__ import annotations

import errno
import io
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from uncensor_trainer import state_files
from uncensor_trainer.checkpoints import Checkpoints
from uncensor_trainer.exits import as_stage_error
from uncensor_trainer.progress import Progress
from uncensor_trainer.saving import Saver
from uncensor_trainer.state_files import Piece, StateReader

NUMBERS = 5000
OPERATIONS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}
KILL = 0
FAULTS = {"kill": KILL, "full disk": errno.ENOSPC, "read-only disk": errno.EROFS}
NEVER = 10**9


class Numbers:
    """A state whose every number follows from the step."""

    def __init__(self, step: int, numbers: int = NUMBERS) -> None:
        values = torch.arange(numbers, dtype=torch.float32) + 1000 * step
        self._pieces = [
            Piece("weight", "layer", 0, values),
            Piece("exp_avg", "layer", 0, -values),
        ]

    def pieces(self) -> list[Piece]:
        """Return views of everything."""
        return self._pieces

    def before_change(self, wait: Callable[..., None]) -> None:
        """Nothing changes."""


def save(checkpoints: Checkpoints, step: int, *, numbers: int = NUMBERS) -> None:
    """Save and commit a step, in the background as training does."""
    progress = Progress("train", stream=io.StringIO())
    saver = Saver(Numbers(step, numbers), checkpoints, progress, asynchronous=True)
    saver.save(step, {}, lambda folder: (folder / "counters.json").write_text(f"{step}") and None)
    saver.wait()


def loaded(folder: Path, step: int, *, numbers: int = NUMBERS) -> bool:
    """Tell whether a checkpoint gives exactly the numbers of its step."""
    found = [Piece(p.kind, p.name, 0, torch.zeros(numbers)) for p in Numbers(step).pieces()]
    with StateReader(folder) as reader:
        for piece in found:
            reader.fill(piece)
    wanted = Numbers(step, numbers).pieces()
    return all(torch.equal(a.values, b.values) for a, b in zip(found, wanted, strict=True))


def save_with_fault(checkpoints: Checkpoints, step: int, *, at: int, fault: int) -> tuple[str, int]:
    """Save in a process of its own with a fault at one operation.

    Returns:
        How it ended ("done", "refused" or "killed"), and the operations that it came to.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _child(checkpoints, step, at, fault, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    end = {0: "done", 74: "refused", -signal.SIGKILL: "killed"}.get(code, f"code {code}")
    return end, len(told)


def _child(checkpoints: Checkpoints, step: int, at: int, fault: int, writer: int) -> None:
    """Save, with a fault; never returns."""
    _watch_operations(str(checkpoints.folder), _Striker(at, fault, writer))
    try:
        save(checkpoints, step)
    except BaseException as error:  # noqa: BLE001 - a forked test must not run on
        known = as_stage_error(error)
        if known is None:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(known.code if known is not None else 1)
    os._exit(0)


class _Striker:
    """Counts operations, tells each to the parent, and strikes at one."""

    def __init__(self, at: int, fault: int, writer: int) -> None:
        self._at = at
        self._fault = fault
        self._writer = writer

    def __call__(self) -> None:
        os.write(self._writer, b".")
        self._at -= 1
        if self._at != -1:
            return
        if self._fault == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(self._fault, os.strerror(self._fault))


def _watch_operations(folder: str, operation: Callable[[], None]) -> None:
    """Call `operation` before every file operation below a folder, for the rest of the process."""

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in OPERATIONS and folder in str(arguments[0]):
            operation()

    def write_half(file: Any, chunk: memoryview) -> None:
        file.write(chunk[: len(chunk) // 2])
        operation()
        write_all(file, chunk[len(chunk) // 2 :])

    def flush(descriptor: int) -> None:
        operation()
        fsync(descriptor)

    write_all, fsync = state_files._write_all, os.fsync
    state_files._write_all, os.fsync = write_half, flush
    sys.addaudithook(audit)


def truncate(path: Path, chance: random.Random) -> None:
    """Cut a file at a random place."""
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def flip_a_bit(path: Path, chance: random.Random) -> None:
    """Turn one random bit."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def zero_the_tail(path: Path, chance: random.Random) -> None:
    """Fill the end with zeros, as a file system does after a power cut; the end is not zero."""
    content = path.read_bytes().rstrip(b"\0")
    first = chance.randrange(len(content))
    path.write_bytes(content[:first] + bytes(path.stat().st_size - first))


def remove(path: Path, chance: random.Random) -> None:
    """Lose the file."""
    path.unlink()


DAMAGE: dict[str, Callable[[Path, random.Random], None]] = {
    "truncation": truncate,
    "bit flip": flip_a_bit,
    "zero tail": zero_the_tail,
    "missing file": remove,
}
