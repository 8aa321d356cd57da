"""The token store: one flat memory-mapped file, read without copies or a tokenizer.

tokens.bin    uint32, all rows one after another
loss.bin      uint8, 1 where a token counts in the loss
offsets.npy   int64 [rows + 1], where each row begins
origins.jsonl which row of which data set it was
store.json    counts and the sha256 of each file
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from uncensor_trainer.data.tokenise import MASKED, Encoded
from uncensor_trainer.exits import WorkspaceFailure
from uncensor_trainer.workspace import read_json, write_json

FILES = ("tokens.bin", "loss.bin", "offsets.npy", "origins.jsonl")
AGAIN = "Run the prepare stage again (--from prepare)."


@dataclass(frozen=True, slots=True)
class TokenStore:
    """Rows of tokens.

    Attributes:
        tokens: uint32 [tokens of all rows].
        loss: uint8 [tokens of all rows], 1 where the token counts.
        offsets: int64 [rows + 1].
        folder: where the store lies.
    """

    tokens: npt.NDArray[np.uint32]
    loss: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    folder: Path

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map a store that `write_store` made.

        Raises:
            WorkspaceFailure: the store is absent or its files do not fit together.
        """
        counts = _counts(folder)
        try:
            offsets = np.load(folder / "offsets.npy")
            tokens = np.memmap(folder / "tokens.bin", dtype=np.uint32, mode="r")
            loss = np.memmap(folder / "loss.bin", dtype=np.uint8, mode="r")
        except (FileNotFoundError, ValueError) as error:
            raise WorkspaceFailure(f"The token store {folder} is damaged: {error}. {AGAIN}") from (
                error
            )
        if not len(tokens) == len(loss) == offsets[-1] == counts["tokens"]:
            raise WorkspaceFailure(
                f"The token store {folder} is damaged: {len(tokens)} tokens, wanted "
                f"{counts['tokens']}. {AGAIN}"
            )
        return cls(tokens, loss, offsets, folder)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, int64 [rows]."""
        return np.diff(self.offsets)

    def view(self, index: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
        """Return tokens and loss mask of one row as they lie in the map; nothing is copied."""
        part = slice(self.offsets[index], self.offsets[index + 1])
        return self.tokens[part], self.loss[part]

    def row(self, index: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return ids and labels of one row, both int64 [tokens]."""
        tokens, loss = self.view(index)
        ids = tokens.astype(np.int64)
        return ids, np.where(loss == 1, ids, MASKED)

    def origins(self, indices: Iterable[int]) -> list[tuple[str, int]]:
        """Return (data set, row number there) of each row."""
        lines = (self.folder / "origins.jsonl").read_text(encoding="utf-8").splitlines()
        return [tuple(json.loads(lines[index])) for index in indices]

    def verify(self) -> None:
        """Read every byte once.

        Raises:
            WorkspaceFailure: a file is not what prepare wrote.
        """
        for name, wanted in _counts(self.folder)["sha256"].items():
            if _sha256(self.folder / name) != wanted:
                raise WorkspaceFailure(
                    f"The token store {self.folder} is damaged: {name} does not have the bytes "
                    f"that were written. {AGAIN}"
                )


def num_rows(folder: Path) -> int:
    """Return the rows of a store without opening it.

    Raises:
        WorkspaceFailure: there is no store.
    """
    return int(_counts(folder)["rows"])


def write_store(folder: Path, rows: Iterable[tuple[str, int, Encoded]]) -> dict[str, int]:
    """Write (dataset, index, encoded) rows and return the counts of `store.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    offsets = [0]
    loss_tokens = 0
    with (
        (folder / "tokens.bin").open("wb") as tokens,
        (folder / "loss.bin").open("wb") as loss,
        (folder / "origins.jsonl").open("w", encoding="utf-8") as origins,
    ):
        for dataset, index, encoded in rows:
            mask = np.asarray(encoded.labels) != MASKED
            np.asarray(encoded.input_ids, dtype=np.uint32).tofile(tokens)
            mask.astype(np.uint8).tofile(loss)
            origins.write(json.dumps([dataset, index], ensure_ascii=False) + "\n")
            offsets.append(offsets[-1] + len(encoded.input_ids))
            loss_tokens += int(mask.sum())
    np.save(folder / "offsets.npy", np.asarray(offsets, dtype=np.int64))
    counts = {
        "rows": len(offsets) - 1,
        "tokens": offsets[-1],
        "lossTokens": loss_tokens,
        "longest": int(np.diff(offsets).max(initial=0)),
    }
    digests = {name: _sha256(folder / name) for name in FILES}
    write_json(folder / "store.json", {**counts, "sha256": digests})
    return counts


def _counts(folder: Path) -> dict[str, Any]:
    counts = read_json(folder / "store.json")
    if counts is None:
        raise WorkspaceFailure(f"{folder} holds no token store. {AGAIN}")
    return counts


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
