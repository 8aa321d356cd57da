"""How likely a model finds good answers: the check that training did not spoil its language.

The loss counts the tokens of answers only, with the template and the mask of training. Shape
suffixes: B rows, T tokens, V words of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from transformers import DynamicCache

from uncensor_trainer.data.tokenise import MASKED, Encoded
from uncensor_trainer.evaluation.models import OpenModel
from uncensor_trainer.exits import NumericFailure
from uncensor_trainer.progress import Json

RESAMPLES = 1000
SEED = 42
# Logits of one forward pass, as float32 128 MiB; the loss needs about as much again.
LOGITS = 2**25


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
    logits: int = LOGITS,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> list[AnswerLoss]:
    """Return the loss of every row, in order; `on_rows` hears of every few that are done.

    Args:
        opened: the model.
        rows: conversations with the labels that count.
        logits: numbers that one forward pass may produce; decides how much is done at once.
        on_rows: called with the number of rows that were just finished.
    """
    vocabulary: int = opened.model.config.get_text_config().vocab_size
    budget = max(1, logits // vocabulary)
    losses: list[AnswerLoss | None] = [None] * len(rows)
    for batch in _batches(rows, budget):
        totals = _losses(opened, [rows[index] for index in batch], budget)
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
def _losses(opened: OpenModel, rows: Sequence[Encoded], budget: int) -> list[float]:
    """Return the summed loss of every row; long rows are read piece by piece."""
    ids_BT = _right_padded([row.input_ids for row in rows], 0).to(opened.device)
    labels_BT = _right_padded([row.labels for row in rows], MASKED).to(opened.device)
    mask_BT = _right_padded([[1] * len(row.input_ids) for row in rows], 0).to(opened.device)
    cache = DynamicCache(config=opened.model.config)
    totals_B = torch.zeros(len(rows), dtype=torch.float64, device=opened.device)
    width = max(1, budget // len(rows))
    last = ids_BT.shape[1] - 1  # the last token predicts nothing
    for start in range(0, last, width):
        stop = min(start + width, last)
        logits_BTV = opened.model(
            input_ids=ids_BT[:, start:stop],
            attention_mask=mask_BT[:, :stop],
            position_ids=torch.arange(start, stop, device=opened.device)[None].expand(
                len(rows), -1
            ),
            past_key_values=cache,
            use_cache=True,
        ).logits
        losses = functional.cross_entropy(
            logits_BTV.float().flatten(0, 1),
            labels_BT[:, start + 1 : stop + 1].flatten(),
            ignore_index=MASKED,
            reduction="none",
        )
        totals_B += losses.view(len(rows), -1).double().sum(dim=1)
    totals: list[float] = totals_B.tolist()
    return totals


def _right_padded(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """Return int64 [rows, longest] with every row beginning at the left edge."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])
