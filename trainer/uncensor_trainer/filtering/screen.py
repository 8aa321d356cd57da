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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from uncensor_trainer.refusals import anchors, engine, languages, loose
from uncensor_trainer.refusals.joined import Numbers, places_of
from uncensor_trainer.refusals.literals import required
from uncensor_trainer.refusals.matching import Scanner, scanner
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
_SLASH, _QUOTE, _NOT_ASCII = b'\\"\x80'
_KNOWN_ESCAPES = np.isin(np.arange(256), (ord("n"), ord('"')))
_BLANKS = b" \t\n\r\x0b\x0c._-"
_BLANK = np.isin(np.arange(256), list(_BLANKS))
_BLANK_SO_FAR = 40  # bytes; an answer that begins with so many is decoded to see the rest
_LOWER = bytes(range(256)).lower()


def suspicious(answers: Sequence[str]) -> set[int]:
    """Return the numbers of the answers that the classifier may flag; all others are plain."""
    heads = [answer[:REACH] for answer in answers]
    found = {n for n, text in enumerate(heads) if _in_another_script(text) or _is_nothing(text)}
    plain = [n for n, text in enumerate(heads) if text.isascii()]
    other = [n for n, text in enumerate(heads) if not text.isascii()]
    # Folding what is not ASCII costs ten times as much, so the two kinds go apart.
    for numbers in filter(None, (plain, other)):
        data = _folded([heads[n] for n in numbers])
        found.update(numbers[row] for row in {*_worth_a_look(data), *_with_phrases(data)})
    return found


@dataclass(frozen=True, slots=True)
class Screened:
    """Openings, by number.

    Attributes:
        suspicious: the classifier may flag the answer.
        unread: it must be decoded to be read.
        anchored: suspicious, and surely for `anchors.worth_a_look` too, without a phrase.
    """

    suspicious: set[int]
    unread: set[int]
    anchored: set[int]


def suspicious_windows(windows: Sequence[bytes]) -> Screened:
    """Tell openings that are suspicious from plain ones.

    Args:
        windows: the first WINDOW bytes after the opening quote of each JSON string, perhaps with
            more JSON after its end.
    """
    rows = _Windows(windows)
    found = _Found(rows.data, rows.starts, rows.stops)
    texts = {number: rows.text(number) for number in rows.beyond_ascii}
    legible = [number for number, text in texts.items() if text]
    named = {legible[n] for n in suspicious([texts[number] for number in legible])}
    # A match that ends before the last character read is there for whoever reads no further.
    read = np.minimum(rows.ends, rows.starts + REACH - 1)
    sure = found.enough(np.where(rows.ends - rows.starts <= REACH, rows.ends, read))
    phrases = set(_with_phrases(rows.data))
    unread = {*rows.unread, *(number for number, text in texts.items() if not text)}
    return Screened(
        found.enough(rows.ends) | phrases | named | set(rows.nothing),
        unread,
        sure - phrases - unread - texts.keys(),
    )


class _Windows:
    """Undecoded openings as lower case text, joined by NUL.

    Attributes:
        data: the text, right where an opening has no other escapes than line feeds and quotes.
        starts, stops: where each opening begins and stops.
        ends: where its string ends, as far as it ends here.
        unread: numbers of those that the text does not show rightly, or not far enough.
        beyond_ascii: numbers of the others that have letters of two bytes and more.
    """

    def __init__(self, windows: Sequence[bytes]) -> None:
        raw = _GAP.encode().join([*windows, b""])
        letters = np.frombuffer(raw, np.uint8)
        lengths = np.fromiter(map(len, windows), np.intp, len(windows))
        stops = np.cumsum(lengths + len(_GAP)) - len(_GAP)
        slashes = np.flatnonzero(letters == _SLASH)
        quotes = np.flatnonzero(letters == _QUOTE)
        quotes = quotes[letters[quotes - 1] != _SLASH]
        ends = stops.copy()
        rows = np.searchsorted(stops, quotes)
        is_first = np.diff(rows, prepend=-1) > 0
        ends[rows[is_first]] = quotes[is_first]
        self.data = _without_slashes(letters, slashes)
        odd = _rows_before(ends, stops, slashes[~_KNOWN_ESCAPES[letters[slashes + 1]]])
        many = np.flatnonzero(letters >= _NOT_ASCII) if not raw.isascii() else slashes[:0]
        self.starts, self.stops, self.ends = (
            places - np.searchsorted(slashes, places) for places in (stops - lengths, stops, ends)
        )
        # A window of many escapes holds fewer characters than the classifier reads.
        short = np.flatnonzero((ends == stops) & (self.stops - self.starts < REACH))
        self.unread = {*odd, *short.tolist()}
        self.beyond_ascii = [n for n in _rows_before(ends, stops, many) if n not in self.unread]

    def text(self, number: int) -> str:
        """Return an opening; nothing if it holds too few characters."""
        end = self.ends[number]
        text = self.data[self.starts[number] : end].decode("utf-8", "ignore")
        return text if end < self.stops[number] or len(text) >= REACH else ""

    @property
    def nothing(self) -> Iterator[int]:
        """The openings of blank answers, and of those that may be a mark for none."""
        letters = np.frombuffer(self.data, np.uint8)
        lengths = self.ends - self.starts
        is_blank = _BLANK[letters[self.starts]] | (lengths == 0)
        is_short = lengths <= _SHORT
        for number in np.flatnonzero(is_blank | is_short).tolist():
            text = self.data[self.starts[number] : self.ends[number]]
            is_marked = len(text) <= _SHORT and _marks().search(text)
            if is_marked or not text[:_BLANK_SO_FAR].strip(_BLANKS):
                yield number


def _rows_before(ends: Numbers, stops: Numbers, places: Numbers) -> list[int]:
    """Return the rows that have one of the places before their ends."""
    rows = np.searchsorted(stops, places)
    found: list[int] = np.unique(rows[places < ends[rows]]).tolist()
    return found


def _without_slashes(letters: npt.NDArray[np.uint8], slashes: Numbers) -> bytes:
    """Return lower case text with its line feeds and quotes as themselves."""
    feeds = slashes[letters[slashes + 1] == ord("n")] + 1
    clean = letters.copy()
    clean[feeds] = ord("\n")
    data: bytes = clean.tobytes()
    return data.translate(_LOWER, b"\\")


class _Found:
    """Matches of the anchors over rows of folded text."""

    def __init__(self, data: bytes, starts: Numbers, stops: Numbers) -> None:
        numbers, ends = _first_look()(data)
        rows = np.searchsorted(stops, ends - 1)
        is_sure = np.isin(numbers, tuple(anchors.CHEAPER), invert=True)
        found = [(numbers[is_sure], ends[is_sure], rows[is_sure])]
        for number in anchors.CHEAPER:
            asked = np.unique(rows[numbers == number])
            found.append(_again(number, data, starts[asked], stops[asked], asked))
        self._patterns, self._ends, self._rows = map(np.concatenate, zip(*found, strict=True))

    def enough(self, limits: Numbers) -> set[int]:
        """Return the rows with a strong anchor, or enough weak ones, that end before the limit."""
        is_near = self._ends <= limits[self._rows]
        rows, patterns = self._rows[is_near], self._patterns[is_near]
        strong = patterns < len(anchors.STRONG)
        found = set(rows[strong].tolist())
        kinds = len(anchors.STRONG) + len(anchors.WEAK)
        weak = np.unique(rows[~strong] * kinds + patterns[~strong]) // kinds
        several, counts = np.unique(weak, return_counts=True)
        return found.union(several[counts >= anchors.ENOUGH_WEAK].tolist())


def _again(
    number: int, data: bytes, starts: Numbers, stops: Numbers, rows: Numbers
) -> tuple[Numbers, Numbers, Numbers]:
    """Ask an anchor itself in the rows in which its cheaper substitute is."""
    places = zip(starts.tolist(), stops.tolist(), strict=True)
    _, ends = _anchor(number)(_GAP.encode().join([data[start:stop] for start, stop in places]))
    lengths = stops - starts + len(_GAP)
    moved = np.cumsum(lengths) - lengths
    found = np.searchsorted(moved, ends - 1, "right") - 1
    return np.full(len(ends), number), ends - moved[found] + starts[found], rows[found]


def _with_phrases(data: bytes) -> list[int]:
    """Return the rows of folded openings that may hold a phrase of another language."""
    line = loose.one_line(data)
    _, ends = loose.phrase_scanner(languages.LATIN)(line)
    if not len(ends):
        return []
    gaps = places_of(0, line)
    rows: list[int] = (np.searchsorted(gaps, ends - 1) // len(_GAP)).tolist()
    return rows


def _worth_a_look(data: bytes) -> set[int]:
    """Return the rows of folded openings that have enough anchors."""
    gaps = places_of(0, data)
    starts, stops = np.append(0, gaps[1 :: len(_GAP)] + 1), np.append(gaps[:: len(_GAP)], len(data))
    return _Found(data, starts, stops).enough(stops + 1)


def _in_another_script(opening: str) -> bool:
    return not opening.isascii() and _LETTER_BEYOND_LATIN.search(opening) is not None


def _is_nothing(opening: str) -> bool:
    """Tell whether the answer may be a placeholder: short, or blank as far as one sees."""
    if len(opening) > _SHORT and opening[:_SHORT].strip(engine._NOTHING):
        return False
    return engine.is_placeholder(opening[:_SHORT])


@cache
def _first_look() -> Scanner:
    cheap = [anchors.CHEAPER.get(n, one) for n, one in enumerate(anchors.patterns())]
    return scanner([_in_rows(pattern).encode() for pattern in cheap])


@cache
def _anchor(number: int) -> Scanner:
    return scanner([_in_rows(anchors.patterns()[number]).encode()])


@cache
def _marks() -> re.Pattern[bytes]:
    # The second branch of the pattern says what a blank answer is, as `_BLANKS` here does.
    words = required(engine._PLACEHOLDER.pattern.partition("|^")[0])
    assert words  # noqa: S101 - a test sees to it
    return re.compile("|".join(sorted(words)).encode())


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
