"""The text that the rules read: lower case, plain characters, one blank between words.

Rules must not care about typographic quotes, full-width letters, accents, markdown or code, yet a
decision has to point into the answer as it was written. `plain_text` therefore keeps, for every
place where it dropped or folded something, where that place lies in the original.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

# ruff: noqa: RUF001 - the look-alikes are meant
_QUOTES = {"‘": "'", "’": "'", "‛": "'", "´": "'", "“": '"', "”": '"', "„": '"'}
_DASHES = dict.fromkeys("‐‑‒–—―", "-")
_BLANKS = dict.fromkeys("\u00a0\u1680\u202f\u205f\u3000", " ")
_NO_LENGTH_CHANGE = 1


_HALVES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def _fold_table() -> dict[int, str]:
    """Return one character for one: quotes, dashes, blanks, full-width forms, accents, case."""
    table: dict[int, str] = {}
    for code in (*range(0x41, 0x5B), *range(0xC0, 0x250), *range(0x370, 0x530)):
        letter = chr(code).lower()
        base = unicodedata.normalize("NFD", letter)[0]
        if len(letter) == _NO_LENGTH_CHANGE and base != chr(code):
            table[code] = base
    table.update({code: chr(code - 0xFEE0).lower() for code in range(0xFF01, 0xFF5F)})
    # Full-width punctuation ends sentences in Chinese and Japanese: keep it as it is.
    for mark in "！？，：；（）":
        table.pop(ord(mark), None)
    table.update(_HALVES)
    for group in (_QUOTES, _DASHES, _BLANKS):
        table.update({ord(mark): plain for mark, plain in group.items()})
    return table


_FOLD = _fold_table()
_UNSEEN = (0xAD, *range(0x200B, 0x2010), 0x2060, 0xFEFF, *range(0x300, 0x370))
_GLANCE: dict[int, str | None] = {**_FOLD, **dict.fromkeys(_UNSEEN)}
# Code is data, never a decision; markdown marks, zero-width characters and combining accents are
# no letters. What is dropped leaves nothing, runs of blanks leave one, lines one line break.
_UNSEEN_CLASS = "\u00ad\u200b-\u200f\u2060\ufeff\u0300-\u036f"
_LEADING = re.compile(r"[#>\s]+")
_OTHER_START = re.compile(r"[\n\t\r]| [ \t\r]")


def _noise(first: str) -> re.Pattern[str]:
    """Return the pattern of what is dropped, by its first character.

    The branches look back at the first character instead of having it each, because a search for
    one character of a set is ten times as fast as one that tries every branch everywhere.
    """
    return re.compile(
        rf"[{first}\n`*_{_UNSEEN_CLASS}](?:(?<=\n)[\s>#]*|(?<=`)``.*?(?:```|\Z)"
        rf"|(?<= )[ \t\r]+|(?<=[\t\r])[ \t\r]*|(?<=[*_])[*_]*"
        rf"|(?<=[{_UNSEEN_CLASS}])[{_UNSEEN_CLASS}]*)",
        re.DOTALL,
    )


_NOISE, _NOISE_WITH_BLANKS = _noise(""), _noise(r" \t\r")
_RUN_OF_BLANKS = re.compile(r"[\t\r]|  ")
_LEFT_BEHIND = {"`": "\n", "\n": "\n", " ": " ", "\t": " ", "\r": " "}


def folded(original: str) -> str:
    """Return lower case and plain characters, each at the place it had."""
    return original.lower() if original.isascii() else original.translate(_FOLD)


def encodable(original: str) -> str:
    """Return a text that matchers can read: half a surrogate pair becomes a mark in its place."""
    try:
        original.encode()
    except UnicodeEncodeError:
        return original.translate(_HALVES)
    return original


def glance(original: str) -> str:
    """Return lower case and plain characters without those that nobody sees, for a first look."""
    return original.lower() if original.isascii() else original.translate(_GLANCE)


def ascii_only(plain: str) -> str:
    """Return the text with "~" for every other character, at the same places.

    English patterns need no more, and a matcher over bytes then counts characters.
    """
    return plain if plain.isascii() else "".join(c if c < "\x80" else "~" for c in plain)


@dataclass(frozen=True, slots=True)
class Text:
    """A plain text and the way back to its original.

    Attributes:
        plain: what the rules read.
        code: characters of fenced code that were left out.
    """

    plain: str
    code: int
    _plain_starts: tuple[int, ...]
    _origins: tuple[int, ...]

    def origin(self, position: int) -> int:
        """Return the character of the original that a character of `plain` came from."""
        piece = bisect_right(self._plain_starts, position) - 1
        return self._origins[piece] + position - self._plain_starts[piece]


def plain_text(original: str, limit: int) -> Text:
    """Return the plain text of the first `limit` characters."""
    head = folded(original[:limit])
    pieces: list[str] = []
    starts, origins = [0], [0]
    length, last, code = 0, 0, 0
    for start, end, kind in _noises(head):
        left = _LEFT_BEHIND.get(kind, "")
        if kind == "\n" and original[end : end + 1].islower():
            left = " "  # a line that goes on in lower case is wrapped text, no end of a sentence
        elif kind == "`":
            code += end - start
        piece = head[last:start] + left
        pieces.append(piece)
        length += len(piece)
        last = end
        starts.append(length)
        origins.append(last)
    pieces.append(head[last:])
    plain = "".join(pieces).replace("`", "'")
    return Text(plain, code, tuple(starts), tuple(origins))


def _noises(head: str) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, kind) of what is dropped; the kind is its first character."""
    begin = 0
    # Quote marks, headings and a single blank are marks at the very beginning only.
    if (leading := _LEADING.match(head)) and not _OTHER_START.match(head):
        begin = leading.end()
        yield 0, begin, ""
    noise = _NOISE_WITH_BLANKS if _RUN_OF_BLANKS.search(head, begin) else _NOISE
    for match in noise.finditer(head, begin):
        start, end = match.span()
        yield start, end, head[start]
