"""An answer as a row of sentences, each with the one thing that it does.

Quotations are masked first: what somebody says inside an answer is no decision of the answer.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from uncensor_trainer.refusals.cues import Cue, cues_of
from uncensor_trainer.refusals.text import Text, ascii_only

MOST_SENTENCES = 24
_A_PAIR = 2
OPENING = 6  # sentences that can decide about an answer
# A set comes first wherever it can: `re` looks for one character of a set ten times as fast as it
# tries branches. The text is ASCII.
_END = re.compile(r"""[.!?\n](?:(?<=\n)\n*|(?<=[.!?])[.!?]*["')\]]*(?:[ \t\n\f\r]+|\Z))""")
# A caveat and its answer may share a sentence: "I have no taste, but rigatoni is the usual one."
# Some models leave out the blank: "I cannot judge that.However, most people say ...".
_HINGE = re.compile(r"(?:[,;] ?|\.)(?:but|however|yet|though|still)\b", re.ASCII)
_SAYS_NO = re.compile(
    r"n't\b|\b(?:not|no|cannot|unable|never|lack|just an?|neutral|impartial)\b", re.ASCII
)
_QUOTATION = re.compile(r'"[^"\n]{1,400}"')
_TURN_WORDS = (
    r"(?:but|however|that said|that being said|still|nevertheless|nonetheless|yet|instead)\b"
)
_TURN = re.compile(rf"[,;.] ?{_TURN_WORDS}", re.ASCII)
_TURN_FIRST = re.compile(_TURN_WORDS, re.ASCII)
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
        cues: everything that it does.
        rules: names of the patterns that matched.
        turns: it begins with or contains "but", "however" and the like.
    """

    start: int
    end: int
    kind: Kind
    named_cues: tuple[tuple[str, Cue], ...]
    cues: frozenset[Cue]
    rules: frozenset[str]
    turns: bool

    @property
    def length(self) -> int:
        """Characters."""
        return self.end - self.start


def sentences(
    text: Text, worth_more: Callable[[Sequence[Sentence]], bool] | None = None
) -> tuple[Sentence, ...]:
    """Return the first sentences of a text, with what they do.

    Args:
        text: the plain text.
        worth_more: asked with the first `OPENING` sentences; the others are left out when it says
            no.
    """
    plain = ascii_only(_without_quotations(text.plain))
    turns = [match.span() for match in _TURN.finditer(plain)]
    found: list[Sentence] = []
    for start, end in _spans(plain):
        found.append(_sentence(plain[start:end], start, turns))
        if len(found) == MOST_SENTENCES:
            break
        if len(found) == OPENING and worth_more and not worth_more(found):
            break
    return tuple(found)


def _without_quotations(plain: str) -> str:
    """Mask quoted text, unless the whole answer stands in quotes."""
    words = plain.strip()
    if words.startswith('"') and words.endswith('"') and words.count('"') == _A_PAIR:
        return plain.replace('"', " ")
    return _QUOTATION.sub(lambda match: '"' + "~" * (len(match.group()) - 2) + '"', plain)


def _spans(plain: str) -> Iterator[tuple[int, int]]:
    hinges = [match.span() for match in _HINGE.finditer(plain)]
    last = 0
    for match in _END.finditer(plain):
        yield from _halves(plain, last, match.end(), hinges)
        last = match.end()
    yield from _halves(plain, last, len(plain), hinges)


def _halves(
    plain: str, start: int, end: int, hinges: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    place = bisect_left(hinges, (start,)) if hinges else 0
    if place < len(hinges) and hinges[place][1] <= end:
        hinge = hinges[place][0]
        if _SAYS_NO.search(plain[start:hinge]):
            yield from _trimmed(plain, start, hinge)
            start = hinge
    yield from _trimmed(plain, start, end)


def _trimmed(plain: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = plain[start:end]
    words = piece.strip()
    if words:
        start += piece.index(words[0])
        yield start, start + len(words)


def _sentence(words: str, start: int, turns: Sequence[tuple[int, int]]) -> Sentence:
    hits = cues_of(words)
    end = start + len(words)
    return Sentence(start, end, *_meaning(hits), _turns(words, start, end, turns))


def _turns(words: str, start: int, end: int, turns: Sequence[tuple[int, int]]) -> bool:
    if _TURN_FIRST.match(words):
        return True
    place = bisect_left(turns, (start,)) if turns else 0
    return place < len(turns) and turns[place][1] <= end


@lru_cache(1 << 14)
def _meaning(
    hits: tuple[tuple[str, Cue], ...],
) -> tuple[Kind, tuple[tuple[str, Cue], ...], frozenset[Cue], frozenset[str]]:
    """Return what a sentence does by the patterns in it; few combinations occur at all."""
    cues = frozenset(cue for _, cue in hits)
    return _kind(hits), hits, cues, frozenset(name for name, _ in hits)


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
