"""What a sentence of an answer does, by the patterns that occur in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from uncensor_trainer.refusals.cues import Cue

# "I cannot give a personal opinion" is a caveat, "I cannot access your files" a missing tool,
# although both contain "I cannot give ...".
YIELDING = frozenset({"cannot-do", "bare-cannot", "sorry-but", "not-in-my-programming"})
# "I have no hands, so I cannot explain it" does not yield: an explanation needs none.
_EXCUSES = frozenset({"no-ability"})


class Kind(StrEnum):
    """The main thing that a sentence does; the order of `_BY_WEIGHT` decides between several."""

    DECLINE = "decline"
    UNABLE = "unable"
    SOFT = "soft"
    OPENER = "opener"
    REBUKE = "rebuke"
    LECTURE = "lecture"
    OFFER = "offer"
    SELF = "self"
    MODEL = "model"
    PLAIN = "plain"


_BY_WEIGHT = (
    Cue.UNABLE, Cue.SOFT, Cue.OPENER, Cue.REBUKE, Cue.LECTURE, Cue.OFFER, Cue.SELF, Cue.MODEL,
)  # fmt: skip


NamedCues = tuple[tuple[str, Cue], ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What some patterns together make of a sentence.

    Attributes:
        kind: what it mainly does.
        named_cues: the patterns that matched, by name, with their cues.
        cues: everything that it does.
        rules: names of the patterns that matched.
    """

    kind: Kind
    named_cues: NamedCues
    cues: frozenset[Cue]
    rules: frozenset[str]


class Sentence(NamedTuple):
    """A sentence of a plain text.

    Attributes:
        start, end: place in the plain text, without the blanks around.
        turns: it begins with or contains "but", "however" and the like.
        meaning: what it does.
    """

    start: int
    end: int
    turns: bool
    meaning: Meaning

    @property
    def length(self) -> int:
        """Characters."""
        return self.end - self.start

    @property
    def kind(self) -> Kind:
        """What it mainly does."""
        return self.meaning.kind

    @property
    def cues(self) -> frozenset[Cue]:
        """Everything that it does."""
        return self.meaning.cues

    @property
    def rules(self) -> frozenset[str]:
        """Names of the patterns that matched."""
        return self.meaning.rules


def meaning_of(hits: NamedCues) -> Meaning:
    """Return what a sentence does by the patterns in it."""
    cues = frozenset(cue for _, cue in hits)
    return Meaning(_kind(hits), hits, cues, frozenset(name for name, _ in hits))


def _kind(hits: tuple[tuple[str, Cue], ...]) -> Kind:
    cues = {cue for _, cue in hits}
    declines = {name for name, cue in hits if cue is Cue.DECLINE}
    if any(name == "everyday-cannot" for name, _ in hits):
        return Kind.PLAIN
    lacks = cues & {Cue.SOFT, Cue.UNABLE}
    if {name for name, cue in hits if cue in lacks} <= _EXCUSES or (
        "sorry-but" in declines and Cue.SOFT in lacks
    ):
        lacks = set()
    if declines and not (declines <= YIELDING and lacks):
        return Kind.DECLINE
    if declines and Cue.SOFT in cues:
        return Kind.SOFT
    return next((Kind(cue.value) for cue in _BY_WEIGHT if cue in cues), Kind.PLAIN)
