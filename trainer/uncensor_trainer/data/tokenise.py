"""Text to token ids and labels; the loss mask comes from character offsets.

Tokenising prompt and answer apart shifts the mask by a token where the two merge (bug B4 of the
original recipe). Here the whole text is tokenised once, and a token counts in the loss when it
holds at least one character of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from uncensor_trainer.data.formats import Message
from uncensor_trainer.data.templates import Rendered, Template

MASKED = -100  # what torch's cross-entropy ignores


class RowRejected(ValueError):  # noqa: N818 - a fact about a row, counted and shown
    """The row cannot be trained on; the message says why."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A conversation as the model reads it; both lists have the length of the row in tokens."""

    input_ids: list[int]
    labels: list[int]

    @property
    def num_loss_tokens(self) -> int:
        """Tokens that count in the loss."""
        return sum(label != MASKED for label in self.labels)


def encode(
    template: Template, tokenizer: Any, messages: Sequence[Message], max_length: int
) -> Encoded:
    """Return ids and labels of a conversation of at most `max_length` tokens.

    A longer conversation is cut after its last answer that fits as a whole, so that every
    answer keeps its end marker.

    Raises:
        RowRejected: no answer fits, or no token would count in the loss.
    """
    rendered = template.render(messages)
    encoded = tokenizer(rendered.text, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = encoded["input_ids"]
    labels = _labels(ids, encoded["offset_mapping"], rendered)
    length = len(ids) if len(ids) <= max_length else _last_whole_answer(labels, max_length)
    if length == 0:
        raise RowRejected(
            f"the first answer ends after maxLength ({max_length} tokens; the row has {len(ids)})"
        )
    result = Encoded(ids[:length], labels[:length])
    if result.num_loss_tokens == 0:
        raise RowRejected("no token counts in the loss")
    return result


def _labels(
    ids: Sequence[int], offsets: Sequence[tuple[int, int]], rendered: Rendered
) -> list[int]:
    labels = [MASKED] * len(ids)
    ranges = iter(rendered.answers)
    current = next(ranges, None)
    for index, (start, end) in enumerate(offsets):
        while current is not None and start >= current[1]:
            current = next(ranges, None)
        if current is None:
            break
        if end > current[0] and end > start:
            labels[index] = ids[index]
    return labels


def _last_whole_answer(labels: Sequence[int], max_length: int) -> int:
    """Return the length of the longest prefix that ends with a complete answer, or 0."""
    for end in range(max_length, 0, -1):
        if labels[end - 1] != MASKED and (end == len(labels) or labels[end] == MASKED):
            return end
    return 0
