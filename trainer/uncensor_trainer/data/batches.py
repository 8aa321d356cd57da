"""Which rows a process reads, micro-batch by micro-batch, and how they become tensors.

A global batch is cut into micro-batches of neighbouring lengths, dealt out to the processes like
cards: at every moment all processes handle rows of about the same length, and none waits long.
Where rows are packed, every micro-batch gets short and long rows instead, so that all hold about
as many tokens. Rows only depend on the order and the global batch, so any number of processes
computes the same optimizer steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from uncensor_trainer.data.store import TokenStore
from uncensor_trainer.data.tokenise import MASKED
from uncensor_trainer.engine import Split

View = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]


class OrderedRows(Dataset[View]):
    """The rows of a whole run, by their position in the order."""

    def __init__(self, store: TokenStore, order: npt.NDArray[np.int64]) -> None:
        self._store = store
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, position: int) -> View:
        """Return tokens and loss mask of a row, [tokens] each, as they lie in the store."""
        return self._store.view(int(self._order[position]))

    def origins(self, positions: Iterable[int]) -> list[tuple[str, int]]:
        """Return (data set, row number there) of the rows at these positions."""
        return self._store.origins(int(self._order[position]) for position in positions)


class RankBatches(Sampler[list[int]]):
    """Positions of every micro-batch of one process, over the whole run.

    Args:
        split: how a global batch is divided.
        steps: optimizer steps of the run.
        rank: number of the process.
        mixed: whether short and long rows share a micro-batch, as packing wants it.
    """

    def __init__(self, split: Split, steps: int, rank: int, *, mixed: bool = False) -> None:
        self._split = split
        self._steps = steps
        self._rank = rank
        self._places = dealt(split) if mixed else neighbours(split)

    def __len__(self) -> int:
        return self._steps * self._split.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        for number in range(len(self)):
            yield self.positions(*divmod(number, self._split.accumulation))

    def positions(self, step: int, micro_batch: int) -> list[int]:
        """Return the positions of one micro-batch of one step, both counted from 0."""
        places = self._places[micro_batch * self._split.processes + self._rank]
        positions: list[int] = (step * self._split.global_batch + places).tolist()
        return positions


def neighbours(split: Split) -> npt.NDArray[np.int64]:
    """Return places in the global batch of each micro-batch, alike in length, [batches, rows]."""
    return np.arange(split.global_batch).reshape(-1, split.micro_batch)


def dealt(split: Split) -> npt.NDArray[np.int64]:
    """Return places in the global batch of each micro-batch, alike in tokens, [batches, rows].

    Rows stand by length and are dealt to and fro: whoever got the longest row of one round gets
    the shortest of the next.
    """
    rounds = np.arange(split.global_batch).reshape(split.micro_batch, -1)
    rounds[1::2] = rounds[1::2, ::-1]
    return np.ascontiguousarray(rounds.T)


def flat(rows: Sequence[View]) -> dict[str, Any]:
    """Return rows one after another.

    Each token is copied once, from the store to its place. Positions begin at 0 with every row,
    and the first token of a row never counts: nothing before it could predict it.

    Returns:
        input_ids, labels and position_ids, int64 [1, tokens]; borders, int32 [rows + 1], where
        each row begins and the last one ends; lengths, a list, which stays in main memory.
    """
    lengths = [len(tokens) for tokens, _ in rows]
    shape = (1, sum(lengths))
    input_ids, labels, positions = (torch.empty(shape, dtype=torch.int64) for _ in range(3))
    ids_T, labels_T, positions_T = input_ids[0].numpy(), labels[0].numpy(), positions[0].numpy()
    start = 0
    for tokens, loss in rows:
        part = slice(start, start + len(tokens))
        ids_T[part] = tokens
        positions_T[part] = np.arange(len(tokens))
        labels_T[part] = MASKED
        np.copyto(labels_T[part], ids_T[part], where=loss.view(np.bool_))
        labels_T[start] = MASKED
        start = part.stop
    return {
        "input_ids": input_ids,
        "labels": labels,
        "position_ids": positions,
        "borders": torch.tensor(np.cumsum([0, *lengths]), dtype=torch.int32),
        "lengths": lengths,
    }
