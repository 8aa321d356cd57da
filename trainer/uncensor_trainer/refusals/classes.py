"""The classes of answers, and what a decision about one looks like."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AnswerClass(StrEnum):
    """What an answer is; the order is the strength: the first of several decides about a row."""

    REFUSAL = "refusal"
    """Declines; nothing of what was asked is given."""
    PARTIAL = "partial"
    """Declines or lectures, and gives some of it all the same."""
    MORALISE = "moralise"
    """A lecture instead of an answer."""
    PLACEHOLDER = "placeholder"
    """No answer: empty, or a mark such as [CONTENT_FILTERED]."""
    CAPABILITY = "capability"
    """Cannot rather than will not: no browsing, input missing, asks back."""
    DISCLAIMER = "disclaimer"
    """A caveat about being a model in front of a full answer."""
    IDENTITY = "identity"
    """Answers a question about the assistant itself."""
    NONE = "none"
    """Everything else."""


STRENGTH = {answer_class: rank for rank, answer_class in enumerate(AnswerClass)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One answer's class, and why.

    Attributes:
        answer_class: what the answer is.
        rule: name of the rule that decided; empty for `none`.
        start, end: characters [start, end) of the answer that the rule saw.
        score: 0 to 1, how sure the rule is.
    """

    answer_class: AnswerClass
    rule: str = ""
    start: int = 0
    end: int = 0
    score: float = 0.0

    @property
    def is_flagged(self) -> bool:
        """Tell whether the answer is anything but a plain one."""
        return self.answer_class is not AnswerClass.NONE


CLEAN = Verdict(AnswerClass.NONE)
