"""The numbers of a training, in files that any number of processes can read again.

Each process writes one file in the safetensors format, without pickle:

    state-00001-of-00004.safetensors
        tensors "<kind>/<parameter>", float32 [numbers that this process keeps]
        metadata "starts": {"<parameter>": index of the first of them in the flattened parameter}

A reader asks for any stretch of any parameter and gets it from whichever files hold it. So the
number of processes and the ZeRO stage may change between two attempts, and nothing has to be
converted before (docs/adr/0010).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors import safe_open

from uncensor_trainer.exits import WorkspaceFailure
from uncensor_trainer.progress import Json

PATTERN = "state-*.safetensors"
BYTES_A_NUMBER = 4  # float32
CHUNK_BYTES = 16 * 1024**2
HEADER_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one parameter, or of one of its moments.

    Attributes:
        kind: "weight", "exp_avg" or "exp_avg_sq".
        name: the parameter.
        start: index of its first number in the flattened parameter.
        values: float32 [numbers]; a view of what the optimizer works with.
    """

    kind: str
    name: str
    start: int
    values: torch.Tensor

    @property
    def key(self) -> str:
        """Name of the tensor in the file."""
        return f"{self.kind}/{self.name}"


def file_name(rank: int, processes: int) -> str:
    """Return the name of a process's file."""
    return f"state-{rank + 1:05d}-of-{processes:05d}.safetensors"


def num_bytes(pieces: Iterable[Piece]) -> int:
    """Return the bytes of the numbers, without the header."""
    return sum(piece.values.numel() for piece in pieces) * BYTES_A_NUMBER


def write_pieces(
    path: Path, pieces: Sequence[Piece], wrote: Callable[[], None] = lambda: None
) -> dict[str, Json]:
    """Write a file and flush it to the disk; return its line of the manifest.

    The digest is taken from memory on the way, so that it vouches for what was meant, and a file
    need not be read again. `wrote` is called now and then.
    """
    digest, size = hashlib.sha256(), 0
    with path.open("wb", buffering=0) as file:
        for chunk in _chunks(pieces):
            digest.update(chunk)
            _write_all(file, chunk)
            size += len(chunk)
            wrote()
        os.fsync(file.fileno())
    return {"path": path.name, "bytes": size, "sha256": digest.hexdigest()}


def _write_all(file: Any, chunk: memoryview) -> None:
    """An unbuffered write may take a part only, most of all on a disk that is getting full."""
    while len(chunk):
        chunk = chunk[file.write(chunk) :]


def _chunks(pieces: Sequence[Piece]) -> Iterator[memoryview]:
    yield memoryview(_header(pieces))
    for piece in pieces:
        numbers = piece.values.detach().cpu().contiguous().numpy().data.cast("B")
        for first in range(0, len(numbers), CHUNK_BYTES):
            yield numbers[first : first + CHUNK_BYTES]


def _header(pieces: Sequence[Piece]) -> bytes:
    """Return the header of the safetensors format: its length, then JSON padded with spaces."""
    starts = {piece.name: piece.start for piece in pieces}
    header: dict[str, Any] = {"__metadata__": {"starts": json.dumps(starts)}}
    offset = 0
    for piece in pieces:
        count = piece.values.numel()
        end = offset + count * BYTES_A_NUMBER
        header[piece.key] = {"dtype": "F32", "shape": [count], "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % HEADER_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Where some numbers of a parameter lie: `numbers` of them from `start`, in an open file."""

    start: int
    numbers: int
    file: Any


class StateReader:
    """The state files of one checkpoint, whoever wrote them; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = ExitStack()
        self._stretches: dict[str, list[_Stretch]] = defaultdict(list)

    def __enter__(self) -> Self:
        for path in sorted(self._folder.glob(PATTERN)):
            file = self._files.enter_context(safe_open(path, framework="pt"))
            starts = json.loads(file.metadata()["starts"])
            for key in file.keys():  # noqa: SIM118 - not a dict
                count = file.get_slice(key).get_shape()[0]
                start = starts[key.partition("/")[2]]
                self._stretches[key].append(_Stretch(start, count, file))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stretches.clear()
        self._files.close()

    @property
    def names(self) -> set[str]:
        """The parameters that were saved."""
        return {key.partition("/")[2] for key in self._stretches}

    def fill(self, piece: Piece) -> None:
        """Copy the saved numbers into a piece.

        Raises:
            WorkspaceFailure: the checkpoint does not hold all of them.
        """
        first, last, found = piece.start, piece.start + piece.values.numel(), 0
        for stretch in self._stretches.get(piece.key, ()):
            low, high = max(first, stretch.start), min(last, stretch.start + stretch.numbers)
            if low >= high:
                continue
            saved = stretch.file.get_slice(piece.key)[low - stretch.start : high - stretch.start]
            piece.values[low - first : high - first].copy_(saved)
            found += high - low
        if found != last - first:
            raise WorkspaceFailure(
                f"The checkpoint {self._folder} holds {found} of the {last - first} numbers of "
                f"{piece.key} that this process needs. Move the folder away; the same command "
                "goes on from the checkpoint before it."
            )
