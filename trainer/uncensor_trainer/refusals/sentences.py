"""An answer as a row of sentences, each with the one thing that it does.

Quotations are masked first: what somebody says inside an answer is no decision of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import re2

from uncensor_trainer.refusals.cues import Cue, cues_of
from uncensor_trainer.refusals.text import Text, ascii_only

MOST_SENTENCES = 24
_A_PAIR = 2
_END = re2.compile(r"[.!?]+[\"')\]]*(?:\s+|$)|\n+")
# A caveat and its answer may share a sentence: "I have no taste, but rigatoni is the usual one."
# Some models leave out the blank: "I cannot judge that.However, most people say ...".
_HINGE = re2.compile(r"[,;.] ?(?:but|however|yet|though|still)\b")
_SAYS_NO = re2.compile(r"n't\b|\b(?:not|no|cannot|unable|never|lack|just an?|neutral|impartial)\b")
_QUOTATION = re.compile(r'"[^"\n]{1,400}"')
_TURN = re2.compile(
    r"(?:[,;.] ?|^)(?:but|however|that said|that being said|still|nevertheless|nonetheless|yet|"
    r"instead)\b"
)
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


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the plain text.

    Attributes:
        start, end: place in the plain text, without the blanks around.
        kind: what it mainly does.
        named_cues: the patterns that matched, by name, with their cues.
        turns: it begins with or contains "but", "however" and the like.
    """

    start: int
    end: int
    kind: Kind
    named_cues: tuple[tuple[str, Cue], ...]
    turns: bool

    @property
    def cues(self) -> frozenset[Cue]:
        """Everything that it does."""
        return frozenset(cue for _, cue in self.named_cues)

    @property
    def rules(self) -> frozenset[str]:
        """Names of the patterns that matched."""
        return frozenset(name for name, _ in self.named_cues)

    @property
    def length(self) -> int:
        """Characters."""
        return self.end - self.start


def sentences(text: Text) -> tuple[Sentence, ...]:
    """Return the first sentences of a text, with what they do."""
    plain = ascii_only(_without_quotations(text.plain))
    found: list[Sentence] = []
    for start, end in _spans(plain):
        found.append(_sentence(plain[start:end], start))
        if len(found) == MOST_SENTENCES:
            break
    return tuple(found)


def _without_quotations(plain: str) -> str:
    """Mask quoted text, unless the whole answer stands in quotes."""
    words = plain.strip()
    if words.startswith('"') and words.endswith('"') and words.count('"') == _A_PAIR:
        return plain.replace('"', " ")
    return _QUOTATION.sub(lambda match: '"' + "~" * (len(match.group()) - 2) + '"', plain)


def _spans(plain: str) -> Iterator[tuple[int, int]]:
    last = 0
    for match in _END.finditer(plain):
        yield from _halves(plain, last, match.end())
        last = match.end()
    yield from _halves(plain, last, len(plain))


def _halves(plain: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = plain[start:end]
    hinge = _HINGE.search(piece)
    if hinge and _SAYS_NO.search(piece[: hinge.start()]):
        yield from _trimmed(plain, start, start + hinge.start())
        start += hinge.start()
    yield from _trimmed(plain, start, end)


def _trimmed(plain: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = plain[start:end]
    if piece.strip():
        yield start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def _sentence(words: str, start: int) -> Sentence:
    hits = cues_of(words)
    turns = _TURN.search(words) is not None
    return Sentence(start, start + len(words), _kind(hits, turns), hits, turns)


def _kind(hits: tuple[tuple[str, Cue], ...], turns: bool) -> Kind:
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
