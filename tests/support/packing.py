"""Rows packed for torch's own kernel, and the same rows alone under torch's ordinary attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from uncensor_trainer import varlen
from uncensor_trainer.data.batches import flat
from uncensor_trainer.data.layout import Layout
from uncensor_trainer.losses import LossHead

PACKED = Layout(packed=True, budget=10**6, regroups=False, tells_borders=True)
PADDED = Layout(packed=False, budget=10**6, regroups=False)


@dataclass(frozen=True)
class Learned:
    """Summed loss and the gradients of all weights."""

    loss: float
    gradients: dict[str, torch.Tensor]


def packed_and_alone(model: Any, lengths: list[int]) -> tuple[Learned, Learned]:
    """Return what a model learns from random rows of these lengths in both ways."""
    rows = [
        _a_row(length, number, model.config.vocab_size) for number, length in enumerate(lengths)
    ]
    model.set_attn_implementation(varlen.NAME)
    together = _learned(model, PACKED.passes(flat(rows)))
    model.set_attn_implementation("sdpa")
    return together, _learned(model, [PADDED.passes(flat([row]))[0] for row in rows])


def _a_row(length: int, seed: int, words: int) -> Any:
    """Return tokens and loss mask as the store has them; about half of the tokens count."""
    draw = np.random.default_rng([seed, length])
    return (
        draw.integers(2, words, length, dtype=np.uint32),
        draw.integers(0, 2, length, dtype=np.uint8),
    )


def _learned(model: Any, passes: list[dict[str, Any]]) -> Learned:
    head, total = LossHead(model), 0.0
    model.train()
    for one in passes:
        there = {
            name: value.to(model.device) if isinstance(value, torch.Tensor) else value
            for name, value in one.items()
        }
        loss = head.summed(model, there)
        loss.backward()
        total += loss.item()
    gradients = {name: value.grad.clone() for name, value in model.named_parameters()}
    model.zero_grad()
    return Learned(total, gradients)
