"""A filtering that was killed goes on where it was: what is needed for it, kept beside the output.

Now and then the state is written: how far every file had grown, how many pieces of which input they
hold, and the counts. The next run of the same command over the same files cuts the unfinished
files back to those sizes and goes on with the next piece. (After a loss of power the files may hold
less than the state says; then everything is done anew.) Only what is written in order into plain
files can be cut back: JSON lines, not .gz, .zst, .json or .parquet.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from uncensor_trainer.exits import InvalidInput

EVERY = 5.0  # seconds between two states
_REVISION = 1
IsWritten = Callable[[], bool]


@dataclass(slots=True)
class State:
    """How far a filtering is.

    Attributes:
        input, pieces: number of the input that is being read, and of its pieces that are done.
        consumed: bytes of input that are done.
        sizes: bytes of each unfinished file, in the order of the files.
        line_is_open: the last kept line has no line feed.
        books: the counts and what else is kept about rows.
    """

    input: int = 0
    pieces: int = 0
    consumed: int = 0
    sizes: list[int] = field(default_factory=list)
    line_is_open: bool = False
    books: dict[str, Any] = field(default_factory=dict)


class Keeper:
    """Keeps the state of one filtering; a context that removes it when the filtering ends."""

    def __init__(self, output: Path, fingerprint: str) -> None:
        place = Path(os.path.realpath(output))
        self._path = place.with_name(f".{place.name}.state")
        self._lock = place.with_name(f".{place.name}.lock")
        self._fingerprint = fingerprint
        self._held: IO[bytes] | None = None
        self._last = time.monotonic()
        self._waiting: tuple[str, IsWritten] | None = None

    def __enter__(self) -> Keeper:
        if not self._lock.parent.is_dir():
            raise InvalidInput(f"There is no folder {self._lock.parent} to write into.")
        self._held = self._lock.open("wb")
        try:
            # Of this process alone: a forked one that outlives it for a moment must not hold it.
            fcntl.lockf(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._held.close()
            raise InvalidInput(
                "Another filter is writing this output at this moment; wait for it, or choose "
                "another output."
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not is_interrupted(kind):
            self._path.unlink(missing_ok=True)
        self._lock.unlink(missing_ok=True)
        if self._held:
            self._held.close()

    def found(self) -> State | None:
        """Return the state that a killed run of the same command left."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            if kept.pop("fingerprint") == self._fingerprint:
                return State(**kept)
        return None

    def is_due(self) -> bool:
        """Tell whether it is time for another state, and keep one that had to wait."""
        self._keep_waiting()
        return self._waiting is None and time.monotonic() - self._last >= EVERY

    def offer(self, state: State, is_written: IsWritten) -> None:
        """Keep a state as soon as everything that it speaks of is written."""
        values = {name: getattr(state, name) for name in State.__slots__}
        # Put into words now: the counts go on while it waits.
        text = json.dumps({"fingerprint": self._fingerprint, **values})
        self._waiting = (text, is_written)
        self._keep_waiting()

    def _keep_waiting(self) -> None:
        if self._waiting is None or not self._waiting[1]():
            return
        part = self._path.with_name(self._path.name + ".part")
        part.write_text(self._waiting[0], encoding="utf-8")
        part.replace(self._path)
        self._waiting, self._last = None, time.monotonic()


def is_interrupted(kind: type[BaseException] | None) -> bool:
    """Tell whether a person or the system stopped the run, which may then go on later."""
    return kind is not None and not issubclass(kind, Exception)


def fingerprint_of(inputs: Iterable[str], settings: Sequence[object]) -> str:
    """Return what two runs must have in common for one to go on with the other's work."""
    files = []
    for name in inputs:
        about = os.stat(name)
        files.append([os.path.realpath(name), about.st_size, about.st_mtime_ns])
    text = json.dumps([_REVISION, files, [repr(setting) for setting in settings], _rules()])
    return hashlib.sha256(text.encode()).hexdigest()


def _rules() -> str:
    """Return a digest of the code that classifies: other rules give other rows."""
    digest = hashlib.sha256()
    for folder in ("refusals", "filtering"):
        for path in sorted((Path(__file__).parents[1] / folder).glob("*.*")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
