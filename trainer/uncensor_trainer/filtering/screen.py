"""Which of many answers may be flagged: one pass over the openings of a whole block.

The classifier takes some hundred microseconds an answer, and most answers are plain. Its own gates
(anchors in the opening, a phrase of another language, a placeholder) are asked here for thousands
of answers at once: openings are joined by NUL and scanned in one call. What is not named here is
`none` for the classifier too; the tests compare.

Openings come as texts, or as the bytes of a JSON string that nobody has decoded yet. Most of the
latter are plain ASCII, and then two replacements are all it takes to read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from uncensor_trainer.refusals import anchors, engine, languages, loose
from uncensor_trainer.refusals.literals import required
from uncensor_trainer.refusals.matching import Places, Scanner, scanner
from uncensor_trainer.refusals.text import ascii_only, glance

REACH = max(anchors.REACH, languages.REACH)  # characters
WINDOW = REACH + 60  # bytes of an undecoded opening: so many characters and 60 escapes
_SHORT = engine.LONGEST_PLACEHOLDER
_GAP = "\0\0"  # two, so that the end of one opening and the beginning of the next each have one
_DELETED = 0xFF
_HALVES = range(0xD800, 0xE000)  # of surrogate pairs: no characters
# Letters that the languages beyond Latin are written with; punctuation and emoji are none.
_LETTER_BEYOND_LATIN = re.compile(
    "[\u0400-\u1dbf\u1e00-\u1fff\u2c00-\u2dff\u2e80-\u2fff\u3040-\ud7ff\uf900-\ufdff\ufe70-\ufefe\uff66-\uffdc]"
)
_ROW_START, _ROW_END = r"(?:^|\x00)", r"(?:$|\x00)"
_END_OF_STRING, _UNREAD, _NOTHING, _MARK = range(4)
_Numbers = npt.NDArray[np.intp]


def suspicious(answers: Sequence[str]) -> set[int]:
    """Return the numbers of the answers that the classifier may flag; all others are plain."""
    heads = [answer[:REACH] for answer in answers]
    found = {n for n, text in enumerate(heads) if _in_another_script(text) or _is_nothing(text)}
    plain = [n for n, text in enumerate(heads) if text.isascii()]
    other = [n for n, text in enumerate(heads) if not text.isascii()]
    # Folding what is not ASCII costs ten times as much, so the two kinds go apart.
    for numbers in filter(None, (plain, other)):
        data = _folded([heads[n] for n in numbers])
        found.update(numbers[row] for row in _worth_a_look(data, _gaps(data)))
    return found


def suspicious_windows(windows: Sequence[bytes]) -> tuple[set[int], set[int]]:
    """Return the numbers of suspicious openings, and of those that must be decoded to be read.

    Args:
        windows: the first WINDOW bytes after the opening quote of each JSON string, perhaps with
            more JSON after its end.
    """
    # A quote mark of the text becomes an apostrophe, so that a quote left is the end.
    data = b"\0\0".join(windows).replace(b"\\n", b"\n").replace(b'\\"', b"'").lower()
    gaps = _gaps(data)
    found = _Found(_oddities()(data), gaps)
    starts, stops = np.append(0, gaps[1::2] + 1), np.append(gaps[::2], len(data))
    ends = stops.copy()  # of the strings, as far as they end here
    quotes = found.ends(_END_OF_STRING)[::-1]  # the first one of a row is set last
    ends[_rows(quotes, gaps)] = quotes
    is_whole = ends != stops
    # A window of many escapes holds fewer characters than the classifier reads.
    unread = np.flatnonzero(~is_whole & (stops - starts < REACH)).tolist()
    unread += found.before(ends, _UNREAD)
    short = np.minimum(ends, starts + 2 * _SHORT)
    empty = [*found.before(ends, _NOTHING), *found.before(short, _MARK)]
    return {*_worth_a_look(data, gaps, ends), *empty}, set(unread)


class _Found:
    """Matches of several patterns over rows."""

    def __init__(self, places: Places, gaps: _Numbers) -> None:
        self._patterns, self._ends = places
        self._rows = _rows(self._ends, gaps)

    def ends(self, pattern: int) -> _Numbers:
        """Return where the matches of one pattern end."""
        found: _Numbers = self._ends[self._patterns == pattern]
        return found

    def before(self, limits: _Numbers | None, first: int, last: int | None = None) -> list[int]:
        """Return the rows in which one of the patterns [first, last] ends before the limit."""
        found: list[int] = np.unique(self._within(limits, first, last or first)[0]).tolist()
        return found

    def several(self, limits: _Numbers | None, first: int, last: int, least: int) -> list[int]:
        """Return the rows in which so many different ones of the patterns end before the limit."""
        rows, patterns = self._within(limits, first, last)
        kinds = np.unique(rows * (last + 1) + patterns) // (last + 1)
        found, counts = np.unique(kinds, return_counts=True)
        enough: list[int] = found[counts >= least].tolist()
        return enough

    def _within(self, limits: _Numbers | None, first: int, last: int) -> tuple[_Numbers, _Numbers]:
        wanted = (self._patterns >= first) & (self._patterns <= last)
        if limits is not None:
            wanted &= self._ends <= limits[self._rows]
        return self._rows[wanted], self._patterns[wanted]


def _worth_a_look(data: bytes, gaps: _Numbers, ends: _Numbers | None = None) -> Iterable[int]:
    """Return the rows of folded openings that have enough anchors or a phrase."""
    found = _Found(_anchors()(data), gaps)
    strong, kinds = len(anchors.STRONG), len(anchors.STRONG) + len(anchors.WEAK)
    yield from found.before(ends, 0, strong - 1)
    yield from found.several(ends, strong, kinds - 1, anchors.ENOUGH_WEAK)
    line = loose.one_line(data)
    _, ends_of_phrases = loose.phrase_scanner(languages.LATIN)(line)
    yield from _rows(ends_of_phrases, _gaps(line)).tolist()


def _gaps(data: bytes) -> _Numbers:
    """Return where the NUL characters stand, two between openings."""
    return np.flatnonzero(np.frombuffer(data, np.uint8) == 0)


def _rows(ends: _Numbers, gaps: _Numbers) -> _Numbers:
    """Return the row in which each match ends."""
    rows: _Numbers = np.searchsorted(gaps, ends - 1) // 2
    return rows


def _in_another_script(opening: str) -> bool:
    return not opening.isascii() and _LETTER_BEYOND_LATIN.search(opening) is not None


def _is_nothing(opening: str) -> bool:
    """Tell whether the answer may be a placeholder: short, or blank as far as one sees."""
    if len(opening) > _SHORT and opening[:_SHORT].strip(engine._NOTHING):
        return False
    return engine.is_placeholder(opening[:_SHORT])


@cache
def _anchors() -> Scanner:
    return scanner([_in_rows(pattern).encode() for pattern in anchors.patterns()])


@cache
def _oddities() -> Scanner:
    # The second branch of the pattern says what a blank answer is, as `_NOTHING` here does.
    words = required(engine._PLACEHOLDER.pattern.partition("|^")[0])
    assert words  # noqa: S101 - a test sees to it
    marks = "|".join(sorted(words))
    patterns = {
        _END_OF_STRING: '"',
        _UNREAD: r"(?:^|[^\\\x80-\xff])[\\\x80-\xff]",
        _NOTHING: _ROW_START + r"[\s._\-]*(?:\"|[\s._\-]{40})",
        _MARK: f"(?:{marks})",
    }
    return scanner([patterns[number].encode() for number in sorted(patterns)])


def _in_rows(pattern: str) -> str:
    """Let the beginning and the end of the text mean those of a row."""
    pattern = re.sub(r"(?<![\\\[])\^", lambda _: _ROW_START, pattern)
    return re.sub(r"(?<!\\)\$", lambda _: _ROW_END, pattern)


def _folded(texts: Sequence[str]) -> bytes:
    """Return lower case and plain characters, one byte each, texts joined by NUL."""
    joined = _GAP.join(text.replace("\0", "~") for text in texts)
    if joined.isascii():
        return joined.encode().lower()
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
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
