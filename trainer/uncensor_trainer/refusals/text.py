"""The text that the rules read: lower case, plain characters, one blank between words.

Rules must not care about typographic quotes, full-width letters, accents, markdown or code, yet a
decision has to point into the answer as it was written. `plain_text` therefore keeps, for every
place where it dropped or folded something, where that place lies in the original.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

import re2

_QUOTES = {"‘": "'", "’": "'", "‛": "'", "´": "'", "“": '"', "”": '"', "„": '"'}
_DASHES = dict.fromkeys("‐‑‒–—―", "-")
_BLANKS = dict.fromkeys("\u00a0\u1680\u202f\u205f\u3000", " ")
_NO_LENGTH_CHANGE = 1


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
    # Half a surrogate pair cannot be encoded, so no matcher could read it.
    table.update(dict.fromkeys(range(0xD800, 0xE000), "\ufffd"))
    for group in (_QUOTES, _DASHES, _BLANKS):
        table.update({ord(mark): plain for mark, plain in group.items()})
    return table


_FOLD = _fold_table()
# Code is data, never a decision; markdown marks, zero-width characters and combining accents are
# no letters. What is dropped leaves nothing, runs of blanks leave one, lines one line break.
_NOISE = re2.compile(
    r"(?s)(?P<code>```.*?(?:```|\z))"
    r"|(?P<line>[ \t\r]*\n[\s>#]*)"
    r"|(?P<blank>[ \t]{2,}|\t)"
    r"|(?P<mark>[*_]+|\A[#>\s]+|[\x{00ad}\x{200b}-\x{200f}\x{2060}\x{feff}\x{0300}-\x{036f}]+)"
)
_LEFT_BEHIND = {"code": "\n", "line": "\n", "blank": " ", "mark": ""}


def folded(original: str) -> str:
    """Return lower case and plain characters, each at the place it had."""
    return original.lower() if original.isascii() else original.translate(_FOLD)


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
    for match in _NOISE.finditer(head):
        kind = str(match.lastgroup)
        piece = head[last : match.start()] + _LEFT_BEHIND[kind]
        code += len(match.group()) if kind == "code" else 0
        pieces.append(piece)
        length += len(piece)
        last = match.end()
        starts.append(length)
        origins.append(last)
    pieces.append(head[last:])
    plain = "".join(pieces).replace("`", "'")
    return Text(plain, code, tuple(starts), tuple(origins))
