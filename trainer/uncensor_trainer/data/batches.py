"""Which rows a process reads, micro-batch by micro-batch, and how they become tensors.

A global batch is cut into micro-batches of neighbouring lengths, dealt out to the processes like
cards: at every moment all processes handle rows of about the same length, and none waits long.
Rows only depend on the order and the global batch, so any number of processes computes the same
optimizer steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from uncensor_trainer.data.store import TokenStore
from uncensor_trainer.data.tokenise import MASKED
from uncensor_trainer.engine import Split

Row = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


class OrderedRows(Dataset[Row]):
    """The rows of a whole run, by their position in the order."""

    def __init__(self, store: TokenStore, order: npt.NDArray[np.int64]) -> None:
        self._store = store
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, position: int) -> Row:
        """Return ids and labels, both int64 [tokens]."""
        return self._store.row(int(self._order[position]))

    def origins(self, positions: Iterable[int]) -> list[tuple[str, int]]:
        """Return (data set, row number there) of the rows at these positions."""
        return self._store.origins(int(self._order[position]) for position in positions)


class RankBatches(Sampler[list[int]]):
    """Positions of every micro-batch of one process, over the whole run."""

    def __init__(self, split: Split, steps: int, rank: int) -> None:
        self._split = split
        self._steps = steps
        self._rank = rank

    def __len__(self) -> int:
        return self._steps * self._split.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        size, processes = self._split.micro_batch, self._split.processes
        for number in range(len(self)):
            first = (number * processes + self._rank) * size
            yield list(range(first, first + size))


def padded(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Return input_ids and labels, int64 [rows, tokens of the longest row].

    Padding stands right, where causal attention cannot see it, and never counts in the loss. So
    no attention mask is needed, and attention takes its fast path.
    """
    longest = max(len(ids) for ids, _ in rows)
    input_ids = torch.zeros((len(rows), longest), dtype=torch.int64)
    labels = torch.full((len(rows), longest), MASKED, dtype=torch.int64)
    for index, (row_ids, row_labels) in enumerate(rows):
        input_ids[index, : len(row_ids)] = torch.from_numpy(row_ids)
        labels[index, : len(row_labels)] = torch.from_numpy(row_labels)
    return {"input_ids": input_ids, "labels": labels}
