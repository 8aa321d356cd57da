"""Which of many answers may be flagged: one pass over the openings of a whole block.

The classifier takes some hundred microseconds an answer, and most answers are plain. Its own gates
(an anchor near the beginning, a phrase of another language, a placeholder) are asked here for
thousands of answers at once: openings are folded to one byte a character, joined by NUL, and
scanned in one call. What is not named here is `none` for the classifier too; the tests compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from uncensor_trainer.refusals import anchors, engine, languages, matching
from uncensor_trainer.refusals.text import ascii_only, glance

Scan = Callable[[Sequence[str]], set[int]]

_SHORT = engine.LONGEST_PLACEHOLDER
_NUL = b"\0"
_DELETED = 0xFF
_HALVES = range(0xD800, 0xE000)  # of surrogate pairs: no characters
# Letters that the languages beyond Latin are written with; punctuation and emoji are none.
_LETTER_BEYOND_LATIN = re.compile(
    "[\u0400-\u1dbf\u1e00-\u1fff\u2c00-\u2dff\u2e80-\u2fff\u3040-\ud7ff\uf900-\ufdff\ufe70-\ufefe\uff66-\uffdc]"
)
_ROW_START, _ROW_END = r"(?:^|\x00)", r"(?:$|\x00)"
# `plain_text` drops quote marks and collapses blanks; a fence in front of the opening goes too.
_BLANKS = r"[\s>#]+"
_LOOSE_START = rf"(?:{_ROW_START}|''')[\s>#]*"
_WITHOUT_LINES = bytes.maketrans(b"\n`", b" '")


def suspicious(answers: Sequence[str]) -> set[int]:
    """Return the numbers of the answers that the classifier may flag; all others are plain."""
    found = _anchors()(_heads(answers, anchors.REACH))
    openings = _heads(answers, languages.REACH)
    found |= _phrases()(openings)
    found.update(n for n, text in enumerate(openings) if _in_another_script(text))
    found.update(n for n, text in enumerate(openings) if _is_nothing(text))
    return found


def _heads(answers: Iterable[str], reach: int) -> list[str]:
    return [answer[:reach] for answer in answers]


def _in_another_script(opening: str) -> bool:
    return not opening.isascii() and _LETTER_BEYOND_LATIN.search(opening) is not None


def _is_nothing(opening: str) -> bool:
    """Tell whether the answer may be a placeholder: short, or blank as far as one sees."""
    if len(opening) > _SHORT and opening[:_SHORT].strip(engine._NOTHING):
        return False
    return engine._is_placeholder(opening[:_SHORT])


@cache
def _anchors() -> Scan:
    pattern = anchors.pattern()
    if matching.hyperscan is None:
        reference = matching.by_re2((pattern,))
        return lambda heads: {
            n for n, text in enumerate(heads) if reference(ascii_only(glance(text)))
        }
    return _block_scan((_in_rows(pattern),), _folded)


@cache
def _phrases() -> Scan:
    patterns = tuple(loosened(pattern) for pattern in languages.LATIN)
    if matching.hyperscan is None:
        reference = matching.by_re2(patterns)

        def ask(openings: Sequence[str]) -> set[int]:
            texts = (_one_line(_folded([text])).decode() for text in openings)
            return {n for n, text in enumerate(texts) if reference(text)}

        return ask
    return _block_scan(patterns, lambda heads: _one_line(_folded(heads)))


def loosened(pattern: str) -> str:
    """Return a pattern over plain text so that it finds the same in text that is only folded."""
    pattern = re.sub(r"(?<![\\\[])\^", lambda _: _LOOSE_START, pattern)
    pattern = pattern.replace(" ?", "\0").replace(r"\s?", "\0").replace(" ", _BLANKS)
    return pattern.replace("\0", r"[\s>#]*")


def _in_rows(pattern: str) -> str:
    """Let the beginning and the end of the text mean those of a row."""
    pattern = re.sub(r"(?<![\\\[])\^", lambda _: _ROW_START, pattern)
    return re.sub(r"(?<!\\)\$", lambda _: _ROW_END, pattern)


def _one_line(folded: bytes) -> bytes:
    return folded.translate(_WITHOUT_LINES, b"*_")


def _block_scan(patterns: tuple[str, ...], fold: Callable[[Sequence[str]], bytes]) -> Scan:
    """Scan texts joined by NUL in one call; the end of a match says which text it is in."""
    assert matching.hyperscan is not None  # noqa: S101 - the callers asked
    database = matching.hyperscan.Database()
    database.compile(
        expressions=[pattern.encode() for pattern in patterns],
        ids=list(range(len(patterns))),
        flags=[0] * len(patterns),
    )

    def scan(texts: Sequence[str]) -> set[int]:
        plain: list[int] = []
        other: list[int] = []
        for number, text in enumerate(texts):
            (plain if text.isascii() else other).append(number)
        found: set[int] = set()
        # Folding what is not ASCII costs ten times as much, so the two kinds go apart.
        for numbers in filter(None, (plain, other)):
            data = fold([texts[number] for number in numbers])
            found.update(numbers[row] for row in _rows_of(data, _ends(data)))
        return found

    def _ends(data: bytes) -> list[int]:
        ends: list[int] = []
        append = ends.append
        database.scan(data, match_event_handler=lambda _id, _from, to, _flags, _context: append(to))
        return ends

    return scan


def _rows_of(data: bytes, ends: list[int]) -> Iterable[int]:
    """Return the rows in which matches end."""
    if not ends:
        return ()
    bounds = np.flatnonzero(np.frombuffer(data, np.uint8) == 0)
    last = np.asarray(ends) - 1
    rows: list[int] = np.unique(np.searchsorted(bounds, last)).tolist()
    return rows


def _folded(texts: Sequence[str]) -> bytes:
    """Return lower case and plain characters, one byte each, texts joined by NUL."""
    joined = "\0".join(texts)
    if joined.isascii():
        return joined.encode().lower()
    codes = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
    folded = _table()[np.minimum(codes, 0xFFFF)]
    data: bytes = folded[folded != _DELETED].tobytes()
    return data


@cache
def _table() -> npt.NDArray[np.uint8]:
    """Return the byte that stands for each character up to U+FFFF, as `glance` folds it."""
    table = np.full(0x10000, ord("~"), np.uint8)
    codes = [code for code in range(0x10000) if chr(code) != "\n" and code not in _HALVES]
    # One call for all: a line feed keeps them apart, and no character folds to one.
    folded = ascii_only(glance("\n".join(map(chr, codes)))).split("\n")
    for code, plain in zip(codes, folded, strict=True):
        table[code] = ord(plain) if plain else _DELETED
    table[ord("\n")] = ord("\n")
    return table
