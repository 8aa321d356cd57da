"""Many texts as one: a matcher that is called once a block instead of once a text.

A call costs microseconds, a byte nanoseconds, and the texts of a block are short. So they are
joined, each between two NUL characters of its own, and a pattern is rewritten so that it can only
match within one: the beginning and the end of a text are its NULs, and no class of characters
contains one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from uncensor_trainer.refusals.matching import Scanner, scanner

Numbers = npt.NDArray[np.intp]
_NUL = r"\x00"


def places_of(byte: int, data: bytes) -> Numbers:
    """Return where a byte stands in a text."""
    return np.flatnonzero(np.frombuffer(data, np.uint8) == byte)


def joined(texts: Sequence[bytes]) -> bytes:
    """Return texts without NUL as one, each between two NUL characters."""
    return b"\0" + b"\0\0".join(texts) + b"\0"


def starts_of(texts: Sequence[bytes]) -> Numbers:
    """Return where each text begins in `joined`; the last number is where one more would."""
    lengths = np.fromiter(map(len, texts), np.intp, len(texts))
    return np.concatenate(([0], np.cumsum(lengths + 2))) + 1


def within_rows(pattern: str) -> str:
    """Return a pattern that finds in one of `joined` texts what the pattern finds in it alone."""
    return "".join(_rewritten(pattern))


def _rewritten(pattern: str) -> Iterator[str]:
    in_class = False
    place = 0
    while place < len(pattern):
        mark = pattern[place : place + 2] if pattern[place] == "\\" else pattern[place]
        place += len(mark)
        if in_class:
            in_class = mark != "]"
            yield mark
        elif mark == "[":
            in_class = True
            negated = pattern[place : place + 1] == "^"
            place += negated
            yield rf"[^{_NUL}" if negated else "["
        else:
            yield _OUTSIDE.get(mark, mark)


_OUTSIDE = {
    "^": _NUL,
    "$": _NUL,
    ".": rf"[^\n{_NUL}]",
    r"\W": rf"[^\w{_NUL}]",
    r"\S": rf"[^\s{_NUL}]",
    r"\D": rf"[^\d{_NUL}]",
}


@cache
def row_scanner(patterns: tuple[str, ...]) -> Scanner:
    """Return a scanner of `joined` ASCII texts for patterns over single texts."""
    return scanner([within_rows(pattern).encode() for pattern in patterns])


def hits(texts: Sequence[bytes], patterns: tuple[str, ...]) -> tuple[Numbers, Numbers]:
    """Return (texts, patterns): which pattern occurs in which text, sorted by both, each once."""
    if not texts:
        return np.array([], np.intp), np.array([], np.intp)
    numbers, ends = row_scanner(patterns)(joined(texts))
    if not len(numbers):
        return numbers, numbers
    # A match may end in the NUL after its text, never later.
    rows = np.searchsorted(starts_of(texts), ends - 1, "right") - 1
    both = np.sort(rows * len(patterns) + numbers)
    return np.divmod(both[np.diff(both, prepend=-1) > 0], len(patterns))
