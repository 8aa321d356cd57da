"""Words without which a pattern cannot match, found by reading the pattern.

A search for fixed words runs at the speed of memory, a search for a pattern with many branches
does not. `required` gives words of which any text that the pattern matches holds at least one, so
that a text without them need not be asked. What cannot be read says None: ask the pattern then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

# The parser of `re` reads the part of RE2's syntax that the rules use.
import re._parser as parser  # type: ignore[import-not-found]  # isort: skip
from re._constants import (  # type: ignore[import-not-found]  # isort: skip
    AT,
    BRANCH,
    LITERAL,
    MAX_REPEAT,
    MIN_REPEAT,
    SUBPATTERN,
)

SHORTEST = 3
_MOST = 400
_LETTERS = 12.0  # of an alphabet in which each were as frequent as any other
Words = frozenset[str]


def required(pattern: str, separator: str = " ", shortest: int = SHORTEST) -> Words | None:
    """Return words one of which stands in every text that the pattern matches; None: not known.

    Args:
        pattern: without flags; letters are lower case.
        separator: a character at which words are cut, because texts may have others in its place.
        shortest: bytes that a word has at least.
    """
    try:
        tree = parser.parse(pattern)
    except re.error:
        return None
    return _best(_of_sequence(list(tree), separator, shortest), shortest)


def _best(candidates: Iterable[Words], shortest: int) -> Words | None:
    """Prefer sets of words that chance would rarely write."""
    good = [c for c in candidates if c and len(c) <= _MOST and min(map(_size, c)) >= shortest]
    return min(good, key=lambda c: sum(_LETTERS ** -_size(word) for word in c), default=None)


def _size(word: str) -> int:
    """Bytes: one Chinese character says as much as a short word."""
    return len(word.encode())


def _of_sequence(items: Sequence[Any], separator: str, shortest: int) -> list[Words]:
    """Return sets of words; each set alone is required."""
    found: list[Words] = []
    run = ""
    for kind, value in items:
        if kind is LITERAL and chr(value) != separator:
            run += chr(value)
            continue
        if kind is AT:  # a boundary takes no room
            continue
        found.append(frozenset({run}))
        run = ""
        found += _of_item(kind, value, separator, shortest)
    return [*found, frozenset({run})]


def _of_item(kind: Any, value: Any, separator: str, shortest: int) -> list[Words]:
    if kind is SUBPATTERN:
        return _of_sequence(list(value[-1]), separator, shortest)
    if kind is BRANCH:
        best = [_best(_of_sequence(list(b), separator, shortest), shortest) for b in value[1]]
        if all(words is not None for words in best):
            return [frozenset().union(*(words for words in best if words))]
    if kind in {MAX_REPEAT, MIN_REPEAT} and value[0] > 0:
        return _of_sequence(list(value[2]), separator, shortest)
    return []
