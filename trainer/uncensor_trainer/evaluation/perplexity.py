"""How likely a model finds good answers: the check that training did not spoil its language.

The loss counts the tokens of answers only, with the template and the mask of training, and is
computed as there: without the logits of a whole vocabulary. Shape suffixes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from uncensor_trainer.data.tokenise import MASKED, Encoded
from uncensor_trainer.evaluation.models import OpenModel
from uncensor_trainer.exits import NumericFailure
from uncensor_trainer.losses import LossHead
from uncensor_trainer.progress import Json

RESAMPLES = 1000
SEED = 42
# Tokens of one forward pass, padding included; more would not make it quicker.
TOKENS = 4096


@dataclass(frozen=True, slots=True)
class AnswerLoss:
    """How surprising the answers of one conversation were."""

    nats: float
    """Negative log-likelihood, summed over the tokens."""
    tokens: int


@dataclass(frozen=True, slots=True)
class Perplexity:
    """Perplexity per token with its 95 % bootstrap interval."""

    perplexity: float
    low: float
    high: float
    tokens: int
    answers: int

    def as_json(self) -> dict[str, Json]:
        """Return the form that stands in refusal.json."""
        return {
            "perplexity": self.perplexity,
            "low": self.low,
            "high": self.high,
            "tokens": self.tokens,
            "answers": self.answers,
        }


def perplexity_of(
    losses: Sequence[AnswerLoss], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Perplexity:
    """Return the perplexity over all tokens; answers are drawn again for the interval.

    Answers and not tokens, because the tokens of one answer are easy or hard together.

    Raises:
        NumericFailure: a loss is not finite, or too large for a perplexity.
    """
    nats = np.array([loss.nats for loss in losses])
    tokens = np.array([loss.tokens for loss in losses])
    draws = np.random.default_rng(seed).integers(0, len(losses), size=(resamples, len(losses)))
    with np.errstate(over="ignore"):
        value = np.exp(nats.sum() / tokens.sum())
        drawn = np.exp(nats[draws].sum(axis=1) / tokens[draws].sum(axis=1))
    if not (np.isfinite(value) and np.isfinite(drawn).all()):
        raise NumericFailure(
            "The loss on the reference answers is not a finite number: the model is broken. "
            "Train it again with a lower training.learningRate (--from train)."
        )
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Perplexity(float(value), float(low), float(high), int(tokens.sum()), len(losses))


def answer_losses(
    opened: OpenModel,
    rows: Sequence[Encoded],
    *,
    budget: int = TOKENS,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> list[AnswerLoss]:
    """Return the loss of every row, in order; `on_rows` hears of every few that are done.

    Args:
        opened: the model.
        rows: conversations with the labels that count.
        budget: tokens of one forward pass, unless a row alone is longer.
        on_rows: called with the number of rows that were just finished.
    """
    head = LossHead(opened.model)
    losses: list[AnswerLoss | None] = [None] * len(rows)
    for batch in _batches(rows, budget):
        totals = _losses(opened, head, [rows[index] for index in batch])
        for index, total in zip(batch, totals, strict=True):
            losses[index] = AnswerLoss(total, _counted(rows[index]))
        on_rows(len(batch))
    return [loss for loss in losses if loss is not None]


def _counted(row: Encoded) -> int:
    """The first token is never predicted, so its label cannot count."""
    return sum(label != MASKED for label in row.labels[1:])


def _batches(rows: Sequence[Encoded], budget: int) -> Iterator[list[int]]:
    """Yield positions of rows of similar length, at most `budget` tokens with padding."""
    batch: list[int] = []
    for index in sorted(range(len(rows)), key=lambda index: len(rows[index].input_ids)):
        if batch and (len(batch) + 1) * len(rows[index].input_ids) > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.inference_mode()
def _losses(opened: OpenModel, head: LossHead, rows: Sequence[Encoded]) -> list[float]:
    """Return the summed loss of every row; right padding needs no mask under causal attention."""
    ids_BT = _right_padded([row.input_ids for row in rows], 0).to(opened.device)
    labels_BT = _right_padded([row.labels for row in rows], MASKED).to(opened.device)
    losses_BT = head.of_each_token(opened.model, {"input_ids": ids_BT, "labels": labels_BT})
    totals: list[float] = losses_BT.double().sum(dim=1).tolist()
    return totals


def _right_padded(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """Return int64 [rows, longest] with every row beginning at the left edge."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])
