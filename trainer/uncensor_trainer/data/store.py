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
from typing import Self

import numpy as np
import numpy.typing as npt

from uncensor_trainer.data.tokenise import MASKED, Encoded
from uncensor_trainer.exits import WorkspaceFailure
from uncensor_trainer.workspace import read_json, write_json

FILES = ("tokens.bin", "loss.bin", "offsets.npy", "origins.jsonl")


@dataclass(frozen=True, slots=True)
class TokenStore:
    """Rows of tokens.

    Attributes:
        tokens: uint32 [tokens of all rows].
        loss: uint8 [tokens of all rows], 1 where the token counts.
        offsets: int64 [rows + 1].
    """

    tokens: npt.NDArray[np.uint32]
    loss: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map a store that `write_store` made.

        Raises:
            WorkspaceFailure: the store is absent or its files do not fit together.
        """
        meta = read_json(folder / "store.json")
        if meta is None:
            raise WorkspaceFailure(f"{folder} holds no token store; run the prepare stage again.")
        offsets = np.load(folder / "offsets.npy")
        tokens = np.memmap(folder / "tokens.bin", dtype=np.uint32, mode="r")
        loss = np.memmap(folder / "loss.bin", dtype=np.uint8, mode="r")
        if not len(tokens) == len(loss) == offsets[-1] == meta["tokens"]:
            raise WorkspaceFailure(
                f"The token store {folder} is damaged: {len(tokens)} tokens, wanted "
                f"{meta['tokens']}. Run the prepare stage again (--from prepare)."
            )
        return cls(tokens, loss, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, int64 [rows]."""
        return np.diff(self.offsets)

    def row(self, index: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return ids and labels of one row, both int64 [tokens]."""
        part = slice(self.offsets[index], self.offsets[index + 1])
        ids = self.tokens[part].astype(np.int64)
        return ids, np.where(self.loss[part] == 1, ids, MASKED)


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
        "longest": max(np.diff(offsets), default=0).item() if len(offsets) > 1 else 0,
    }
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    write_json(folder / "store.json", {**counts, "sha256": digests})
    return counts
