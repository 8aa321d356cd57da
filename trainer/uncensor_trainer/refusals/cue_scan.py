"""Which patterns occur in which of many sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np

from uncensor_trainer.refusals.cue_patterns import PATTERNS
from uncensor_trainer.refusals.joined import Numbers, hits
from uncensor_trainer.refusals.literals import required
from uncensor_trainer.refusals.meanings import Meaning, meaning_of

_TURN_WORDS = (
    r"(?:but|however|that said|that being said|still|nevertheless|nonetheless|yet|instead)\b"
)
_TURNS = (rf"^{_TURN_WORDS}", rf"[,;.] ?{_TURN_WORDS}")
# Hyperscan needs four to twenty times as long for one of these as for any other: they are asked
# only in sentences that hold one of their words.
_COSTLY_NAMES = frozenset(
    {
        "cannot-condone",
        "harms",
        "wrong-to",
        "we-should",
        "important-to",
        "fault-with-request",
        "no-live-data",
    }
)
_COSTLY = tuple(number for number, one in enumerate(PATTERNS) if one.name in _COSTLY_NAMES)
_NAMED = tuple((pattern.name, pattern.cue) for pattern in PATTERNS)


def cues_of(sentences: Sequence[bytes]) -> Iterator[tuple[int, Meaning, bool]]:
    """Yield (sentence, what it does, whether it turns), where a pattern occurs."""
    found, numbers = _hits(sentences)
    firsts = np.flatnonzero(np.diff(found, prepend=-1))
    bounds = [*firsts.tolist(), len(found)]
    kinds = numbers.tolist()
    for sentence, (first, end) in zip(found[firsts].tolist(), pairwise(bounds), strict=True):
        yield sentence, *_told_by(tuple(kinds[first:end]))


@lru_cache(1 << 14)
def _told_by(numbers: tuple[int, ...]) -> tuple[Meaning, bool]:
    """Return what patterns, by their sorted numbers, tell; few combinations occur at all."""
    turns = numbers[-1] >= len(_NAMED)
    return meaning_of(tuple(_NAMED[n] for n in numbers if n < len(_NAMED))), turns


def _hits(sentences: Sequence[bytes]) -> tuple[Numbers, Numbers]:
    """Return (sentences, patterns), sorted by both."""
    found, numbers = hits(sentences, _first_look())
    costly = np.isin(numbers, _COSTLY)
    places = [found[~costly]]
    kinds = [numbers[~costly]]
    for number in np.unique(numbers[costly]).tolist():
        asked = found[numbers == number]
        again, _ = hits([sentences[n] for n in asked.tolist()], (PATTERNS[number].pattern,))
        places.append(asked[again])
        kinds.append(np.full(len(again), number))
    found, numbers = np.concatenate(places), np.concatenate(kinds)
    order = np.lexsort((numbers, found))
    return found[order], numbers[order]


@cache
def _first_look() -> tuple[str, ...]:
    """Return all patterns, the costly ones replaced by the words that they cannot do without."""
    cheap = [pattern.pattern for pattern in PATTERNS]
    for number in _COSTLY:
        words = required(cheap[number], shortest=2)
        assert words  # noqa: S101 - a test sees to it
        cheap[number] = f"(?:{'|'.join(sorted(words))})"
    return (*cheap, *_TURNS)
