"""Where kept rows go: a file that appears only when it is whole, or a stream."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, cast

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering.columns import Table
from uncensor_trainer.filtering.pool import Done, write_at
from uncensor_trainer.filtering.resuming import is_interrupted

STDOUT = "-"
KINDS = (".jsonl", ".ndjson", ".json", ".gz", ".zst", ".parquet")
Pieces = Sequence[bytes | memoryview]


class Beside:
    """A file that is written beside its place and moved there at the end of the block."""

    def __init__(self, place: Path, *, can_go_on: bool = False) -> None:
        # A link stays one: what it points to is replaced.
        self.place = Path(os.path.realpath(place))
        self._can_go_on = can_go_on
        mark = "" if can_go_on else f"-{os.getpid()}"
        self.part = self.place.with_name(f".{self.place.name}.part{mark}")

    def __enter__(self) -> Path:
        if not self.place.parent.is_dir():
            raise InvalidInput(f"There is no folder {self.place.parent} to write into.")
        self.part.touch()
        return self.part

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            if not (self._can_go_on and is_interrupted(kind)):
                with suppress(OSError):
                    self.part.unlink()
            return
        with self.part.open("rb+") as file:
            os.fsync(file.fileno())
        self.part.replace(self.place)


class Writer(Protocol):
    """Takes the kept rows in order."""

    def take(self, done: Done) -> None:
        """Write a result's rows."""
        ...

    def close(self) -> None:
        """Write what is still due."""
        ...


class Placed:
    """JSON lines in a file; processes may write them at the places that this gives."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY)
        self.size = 0
        self.line_is_open = False

    def go_on(self, size: int, *, line_is_open: bool) -> None:
        """Write after the first `size` bytes, which are already there; cut off what follows."""
        os.ftruncate(self._descriptor, size)
        self.size, self.line_is_open = size, line_is_open

    def place(self, done: Done) -> int:
        """Return the byte at which a result's rows belong."""
        if done.size and self.line_is_open:
            write_at(self._descriptor, [b"\n"], self.size)
            self.size += 1
        at = self.size
        self.size += done.size
        self.line_is_open = self.line_is_open if not done.size else not done.ends_line
        return at

    def take(self, done: Done) -> None:
        """Write a result's rows, unless a process writes them itself."""
        if done.data:
            write_at(self._descriptor, done.data, self.place(done))

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


class Lines:
    """JSON lines in a stream."""

    def __init__(self, stream: IO[bytes], *below: IO[bytes]) -> None:
        self._stream = stream
        self._below = below
        self._line_is_open = False

    def take(self, done: Done) -> None:
        """Write a result's rows."""
        if done.size and self._line_is_open:
            self._stream.write(b"\n")
        for piece in done.data:
            self._stream.write(piece)
        if done.size:
            self._line_is_open = not done.ends_line

    def close(self) -> None:
        """Write what is buffered."""
        self._stream.flush()
        if self._stream is not sys.stdout.buffer:
            for stream in (self._stream, *self._below):
                stream.close()


class Array:
    """One JSON array, a row a line."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._before = b"[\n"

    def take(self, done: Done) -> None:
        """Write a result's rows."""
        for line in b"".join(done.data).split(b"\n"):
            if row := line.strip():
                self._stream.write(self._before + row)
                self._before = b",\n"

    def close(self) -> None:
        """Close the array."""
        self._stream.write(b"\n]\n" if self._before == b",\n" else b"[]\n")
        self._stream.close()


class Rows:
    """Parquet."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def take(self, done: Done) -> None:
        """Write a result's rows."""
        if done.size:
            self._table.take(b"".join(done.data))

    def close(self) -> None:
        """Write the end of the file."""
        self._table.close()


def kind_of_output(output: str, inputs: Sequence[str]) -> str:
    """Return the ending that says how rows are written.

    Raises:
        InvalidInput: it is unknown, or Parquet from something else.
    """
    if output == STDOUT or (Path(output).exists() and not Path(output).is_file()):
        return ".jsonl"
    kind = Path(output).suffix.lower()
    if kind not in KINDS:
        raise InvalidInput(f"The output {output} must end in one of {', '.join(KINDS)}.")
    if kind == ".parquet" and not all(name.lower().endswith(kind) for name in inputs):
        raise InvalidInput(
            "Parquet can only be written from Parquet, whose columns have types; write .jsonl."
        )
    return kind


def writer_of(kind: str, path: Path, inputs: Sequence[str]) -> Writer:
    """Return what writes rows into a file, by its ending."""
    if kind == ".json":
        return Array(path.open("wb"))
    if kind == ".gz":
        file = path.open("wb")
        # Without name and time, so that the same input gives the same bytes.
        return Lines(cast("IO[bytes]", gzip.GzipFile("", "wb", 6, file, mtime=0)), file)
    if kind == ".zst":
        import pyarrow  # noqa: PLC0415

        below = pyarrow.OSFile(str(path), "wb")
        return Lines(pyarrow.CompressedOutputStream(below, "zstd"), below)
    if kind == ".parquet":
        return Rows(Table(path, Path(inputs[0])))
    return Placed(path)
