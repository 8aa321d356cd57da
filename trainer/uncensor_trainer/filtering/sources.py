"""Inputs as chunks of whole lines, in constant memory: files by byte ranges, all else as a stream.

A range is read by whichever process works on it. JSON arrays and Parquet become lines first, one
row each, so that there is one way to filter.
"""

from __future__ import annotations

import gzip
import io
import itertools
import os
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, cast

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering.arrays import Read, elements
from uncensor_trainer.filtering.columns import lines_of
from uncensor_trainer.refusals.joined import places_of

CHUNK = 4 << 20  # bytes; small enough that eight processes stay below the memory of one model
# The longest row has a million characters, six bytes each when they are escaped.
LONGEST_LINE_BYTES = 8 << 20
STDIN = "-"
_BOM = b"\xef\xbb\xbf"
_PEEK = 1 << 16
_SKIP = 1 << 20
MOST_LINES = 1 << 14
"""Of a chunk that is filtered at once: what is told about a line takes half a kilobyte."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of one input.

    Attributes:
        data: the lines.
        offset: byte of the input where they begin.
        too_long: byte where a line stands that was passed over for its length, after `data`.
        offsets: where each line stood, when lines are not the input's own.
        unreadable: reasons, by line, why it only stands for a row that cannot be a line.
    """

    data: bytes
    offset: int = 0
    too_long: int | None = None
    offsets: tuple[int, ...] | None = None
    unreadable: Mapping[int, str] = field(default_factory=dict)

    def parts(self) -> list[Chunk]:
        """Return the same as chunks of not too many lines; one at least."""
        if self.data.count(b"\n") <= MOST_LINES:
            return [self]
        ends = places_of(ord("\n"), self.data) + 1
        cuts = [0, *ends[MOST_LINES - 1 : -1 : MOST_LINES].tolist(), len(self.data)]
        parts = [
            Chunk(self.data[start:end], self.offset + start)
            for start, end in itertools.pairwise(cuts)
        ]
        return [*parts[:-1], replace(parts[-1], too_long=self.too_long)]


@dataclass(frozen=True, slots=True)
class Range:
    """The lines of a file that begin at bytes [start, stop)."""

    path: Path
    start: int
    stop: int

    def read(self) -> Chunk:
        """Return the lines; none when they all belong to the range before."""
        with self.path.open("rb") as file:
            begin = self._first_line(file)
            if begin >= self.stop:
                return Chunk(b"", self.start)
            file.seek(begin)
            data = file.read(self.stop - begin)
            if data.endswith(b"\n") or len(data) < self.stop - begin:
                return Chunk(data, begin)
            data += file.readline(LONGEST_LINE_BYTES)
            last = data.rfind(b"\n", 0, len(data) - 1) + 1
            if len(data) - last > LONGEST_LINE_BYTES:
                return Chunk(data[:last], begin, too_long=begin + last)
            return Chunk(data, begin)

    def _first_line(self, file: IO[bytes]) -> int:
        if self.start == 0:
            return len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        file.seek(self.start - 1)
        position = self.start - 1
        while position < self.stop:
            piece = file.read(min(_SKIP, self.stop - position))
            if not piece:
                break
            if (found := piece.find(b"\n")) >= 0:
                return position + found + 1
            position += len(piece)
        return self.stop


Task = Range | Chunk


def tasks_of(name: str) -> Iterator[Task]:
    """Yield an input piece by piece.

    Args:
        name: a path, or "-" for standard input.

    Raises:
        InvalidInput: the input is absent, cut off, or broken beyond its rows.
    """
    if name == STDIN:
        yield from _stream(name, sys.stdin.buffer)
        return
    path = Path(name)
    kinds = [suffix.lower() for suffix in path.suffixes[-2:]]
    if kinds[-1:] == [".parquet"]:
        yield from _parquet(path)
    elif kinds[-1:] in ([".gz"], [".zst"]):
        if path.is_file() and not path.stat().st_size:
            raise InvalidInput(_cut_off(name, 0, EOFError("there is not one byte")))
        with closing(_opened(path)) as file:
            yield from _stream(name, file)
    elif not path.is_file():  # a pipe, or a shell's <(...)
        with path.open("rb") as file:
            yield from _stream(name, file)
    elif _is_array(path):
        with path.open("rb") as file:
            yield from _array(name, file.read)
    else:
        size = path.stat().st_size
        for start in range(0, size, CHUNK):
            yield Range(path, start, min(start + CHUNK, size))


def check_exists(name: str) -> None:
    """Refuse an input that is absent.

    Raises:
        InvalidInput: there is no such file, or it is a folder.
    """
    if name == STDIN:
        return
    path = Path(name)
    if not path.exists():
        raise InvalidInput(f"The input {name} does not exist.")
    if path.is_dir():
        raise InvalidInput(f"The input {name} is a folder; name its files, such as {name}/*.jsonl.")


def _is_array(path: Path) -> bool:
    """Tell whether a file holds one JSON array rather than lines."""
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return False
    with path.open("rb") as file:
        return _begins_array(file.read(_PEEK))


def _begins_array(head: bytes) -> bool:
    return head.removeprefix(_BOM).lstrip()[:1] == b"["


def _opened(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    import pyarrow  # noqa: PLC0415 - only users of zstd wait for it

    stream: IO[bytes] = pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd")
    return stream


def _stream(name: str, file: IO[bytes]) -> Iterator[Chunk]:
    read = _careful(name, file)
    head = read(_PEEK)
    if not name.lower().removesuffix(".gz").removesuffix(".zst").endswith(
        (".jsonl", ".ndjson")
    ) and _begins_array(head):
        yield from _array(name, _after(head, read))
    else:
        yield from _lines(_after(head, read))


def _careful(name: str, file: IO[bytes]) -> Read:
    """Read whole amounts; a stream that is cut off is the user's to know."""
    done = 0

    def read(size: int) -> bytes:
        nonlocal done
        pieces = []
        try:
            while size > 0 and (piece := file.read(size)):
                pieces.append(piece)
                size -= len(piece)
                done += len(piece)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InvalidInput(_cut_off(name, done, error)) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise InvalidInput(_cut_off(name, done, error)) from error
        return b"".join(pieces)

    return read


def _cut_off(name: str, done: int, error: Exception) -> str:
    return (
        f"{name} cannot be unpacked beyond byte {done:,} of its content: {error}. The file is cut "
        "off or damaged; copy it again. Nothing was written."
    )


def _after(head: bytes, read: Read) -> Read:
    buffered = io.BytesIO(head)

    def joined(size: int) -> bytes:
        piece = buffered.read(size)
        return piece + read(size - len(piece)) if len(piece) < size else piece

    return joined


def _lines(read: Read) -> Iterator[Chunk]:
    data = read(CHUNK)
    offset = len(_BOM) if data.startswith(_BOM) else 0
    data = data[offset:]
    while data:
        cut = data.rfind(b"\n") + 1
        if cut:
            yield Chunk(data[:cut], offset)
            offset, data = offset + cut, data[cut:]
        if len(data) > LONGEST_LINE_BYTES:
            yield Chunk(b"", offset, too_long=offset)
            offset, data = _rest_of_line(offset + len(data), read)
            continue
        more = read(CHUNK)
        if not more:
            break
        data += more
    if data:
        yield Chunk(data, offset)


def _rest_of_line(offset: int, read: Read) -> tuple[int, bytes]:
    """Pass over a line; return where the next begins and what was read of it."""
    while piece := read(CHUNK):
        if found := piece.find(b"\n") + 1:
            return offset + found, piece[found:]
        offset += len(piece)
    return offset, b""


def _array(name: str, read: Read) -> Iterator[Chunk]:
    """Yield the elements of an array as lines.

    A line feed within an element can only be a blank between two words of JSON, so it may go.
    """
    lines: list[bytes] = []
    offsets: list[int] = []
    size = 0
    for offset, element in elements(name, read, LONGEST_LINE_BYTES):
        lines.append(element.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")
        offsets.append(offset)
        size += len(element)
        if size >= CHUNK // 2 or len(lines) >= MOST_LINES:
            yield Chunk(b"".join(lines), offsets=tuple(offsets))
            lines, offsets, size = [], [], 0
    if lines:
        yield Chunk(b"".join(lines), offsets=tuple(offsets))


def _parquet(path: Path) -> Iterator[Chunk]:
    for lines, unreadable in lines_of(path, LONGEST_LINE_BYTES):
        # Its bytes are none of a text, so no place is told but the line, which is the row's number.
        yield Chunk(b"\n".join(lines) + b"\n", offsets=(0,) * len(lines), unreadable=unreadable)


def bytes_of(names: tuple[str, ...]) -> int | None:
    """Return how many bytes the inputs have; None when one of them is a stream."""
    if any(name == STDIN or not Path(name).is_file() for name in names):
        return None
    return sum(os.stat(name).st_size for name in names)
