"""How the rows of a micro-batch are laid out for the model: in padded groups, or packed.

Both waste next to nothing. Packed rows stand in one sequence one after another; attention must
then be kept from crossing their borders, which only a kernel for variable lengths does for free.
Without one, rows of like length form groups that are padded to their longest row; a group never
holds more tokens than a micro-batch of the longest rows would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from uncensor_trainer.data.batches import dealt
from uncensor_trainer.data.tokenise import MASKED
from uncensor_trainer.engine import Split

# A forward and backward pass reads all weights and starts every operation once more. Measured with
# 135 million parameters in float32 on two cores: 0.29 s a pass beside 5.5 ms a token
# (benchmarks/results/trainer-passes.json).
TOKENS_A_PASS_COSTS = 54
# On a GPU the processor needs time to start the operations. Measured on an H100 with a model of 24
# layers: a pass of 4,094 tokens took no less time than its start, 0.13 s (ADR 25).
TOKENS_A_PASS_COSTS_ON_GPU = 4096
Batch = dict[str, Any]  # tensors by name, and numbers that a GPU does not need


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of this training.

    Attributes:
        packed: rows share a sequence; their positions tell attention where each begins.
        budget: tokens, padding included, of one pass through the model.
        regroups: whether a micro-batch may take several passes. Engines that shard count the
            passes of a step, so only plain torch does this.
        tells_borders: whether a packed pass says where its rows begin, under the names that
            transformers hands on to attention kernels.
        pass_cost: tokens that take as long as a pass costs beside its tokens.
    """

    packed: bool
    budget: int
    regroups: bool
    tells_borders: bool = False
    pass_cost: int = TOKENS_A_PASS_COSTS

    def passes(self, flat: Batch) -> list[Batch]:
        """Cut a micro-batch of flat rows into what goes through the model at once.

        Returns:
            input_ids and labels, int64 [rows, tokens of the longest]; with position_ids [1,
            tokens] and, if wanted, the borders, where rows are packed.
        """
        if self.packed:
            return [packed(flat, tells_borders=self.tells_borders)]
        lengths = row_lengths(flat)
        if not self.regroups:
            return [padded(flat, [range(len(lengths))])[0]]
        return padded(flat, groups(lengths, self.budget, self.pass_cost))


def row_lengths(flat: Batch) -> npt.NDArray[np.int64]:
    """Return the tokens of each row of a flat micro-batch, int64 [rows]."""
    return np.array(flat["lengths"], dtype=np.int64)


def packed(flat: Batch, *, tells_borders: bool) -> Batch:
    """Return a micro-batch of flat rows as the model takes it."""
    batch = {name: flat[name] for name in ("input_ids", "labels", "position_ids")}
    if not tells_borders:
        return batch
    borders, longest = flat["borders"], max(flat["lengths"])
    return batch | {
        "cu_seq_lens_q": borders,
        "cu_seq_lens_k": borders,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def groups(
    lengths: npt.NDArray[np.int64], budget: int, pass_cost: int = TOKENS_A_PASS_COSTS
) -> list[range]:
    """Cut rows that stand by length into groups; the fewest padded tokens and passes win.

    Dynamic programming over where the last group begins (an exact answer, in rows^2 operations).

    Args:
        lengths: tokens of each row, ascending, int64 [rows].
        budget: tokens of a group with its padding, at least the longest row.
        pass_cost: tokens that take as long as one more group costs.
    """
    cost = np.zeros(len(lengths) + 1)
    begin = np.zeros(len(lengths) + 1, dtype=np.int64)
    for end in range(1, len(lengths) + 1):
        longest = int(lengths[end - 1])
        first = max(0, end - max(1, budget // longest))
        starts = np.arange(first, end)
        costs = cost[first:end] + longest * (end - starts) + pass_cost
        best = int(costs.argmin())
        cost[end], begin[end] = costs[best], first + best
    return list(_backwards(begin))[::-1]


def _backwards(begin: npt.NDArray[np.int64]) -> Iterator[range]:
    end = len(begin) - 1
    while end > 0:
        yield range(int(begin[end]), end)
        end = int(begin[end])


def padded(flat: Batch, parts: Sequence[range]) -> list[Batch]:
    """Return input_ids and labels of groups of rows, int64 [rows, tokens of the longest row].

    Padding stands right, where causal attention cannot see it, and never counts in the loss. So
    no attention mask is needed, and attention takes its fast path.
    """
    lengths = row_lengths(flat).tolist()
    ids, labels = (torch.split(flat[name][0], lengths) for name in ("input_ids", "labels"))
    return [
        {
            "input_ids": _stacked([ids[row] for row in rows], 0),
            "labels": _stacked([labels[row] for row in rows], MASKED),
        }
        for rows in parts
    ]


def _stacked(rows: list[torch.Tensor], fill: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)


def fewest_micro_batches(split: Split, step_lengths: npt.NDArray[np.int64], budget: int) -> Split:
    """Return the split of packed rows with the fewest micro-batches that stay in the budget.

    Short rows leave room in a micro-batch that is counted in rows. The number is the same for all
    steps and processes, because engines that shard count on it.

    Args:
        split: the split whose micro-batch, of rows of the greatest length, would fill the budget.
        step_lengths: tokens of each row of each step, ascending in a step, int64 [steps, rows].
        budget: tokens of a micro-batch.
    """
    share = split.micro_batch * split.accumulation
    for number in range(1, split.accumulation):
        if share % number:
            continue
        wider = replace(split, micro_batch=share // number, accumulation=number)
        if step_lengths[:, dealt(wider)].sum(axis=2).max() <= budget:
            return wider
    return split
