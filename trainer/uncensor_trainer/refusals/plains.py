"""The plain texts of many originals at once, as ASCII bytes.

The same as `ascii_only(plain_text(...).plain)` for each, up to blanks at the very end: every step
is one call for all texts. What the steps here do not cover (fenced code, blanks that nearly no text
has) is left to `plain_text`; the tests compare the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from uncensor_trainer.refusals import text as singly
from uncensor_trainer.refusals.text import ascii_only, plain_text

_WRAP, _LOWER, _ODD = 1, 2, 3
"""Stand for a wrapped line's blank, another alphabet's small letter, and what is not covered."""
_PLANES = 0x20000
_COVERED_BLANKS = " \t\n\r\x0b\x0c"
_CONTROL = bytes([*range(4), *range(0x1C, 0x20)])
_COVERED = bytes(set(range(256)) - set(_CONTROL) | {0})
_ODD_BYTE = re.compile(b"[" + re.escape(_CONTROL[1:]) + b"]|```")
_LEADING = re.compile(rb"\x00(?![\n\t\r]| [ \t\r])[#>\s]+")
_WRAPPED = re.compile(rb"\n[\s>#]*(?=[a-z\x02])")
_LINES = re.compile(rb"\n[\s>#]+")
_BLANKS = re.compile(rb"  +")
_TABS = bytes.maketrans(b"\t\r", b"  ")
_LAST_STEP = bytes.maketrans(
    b"`\x01\x02" + bytes(range(0x41, 0x5B)), b"' ~" + bytes(range(0x61, 0x7B))
)


@dataclass(frozen=True, slots=True)
class Plain:
    """A plain text without the way back.

    Attributes:
        words: what the rules read, one byte a character.
        code: characters of fenced code that were left out.
    """

    words: bytes
    code: int = 0


def plains(originals: Sequence[str], limit: int) -> list[Plain]:
    """Return the plain text of the first `limit` characters of each."""
    heads = [original[:limit] for original in originals]
    found: dict[int, Plain] = {}
    ascii_rows = [number for number, head in enumerate(heads) if head.isascii()]
    other_rows = [number for number, head in enumerate(heads) if not head.isascii()]
    # What is not ASCII takes longer to fold, so the two kinds go apart.
    for rows in filter(None, (ascii_rows, other_rows)):
        found |= zip(rows, _plain_words([heads[row] for row in rows]), strict=True)
    for row, plain in found.items():
        if plain is _NOT_COVERED:
            text = plain_text(originals[row], limit)
            found[row] = Plain(ascii_only(text.plain).encode().replace(b"\0", b"~"), text.code)
    return [found[row] for row in range(len(heads))]


_NOT_COVERED = Plain(b"")


def _plain_words(heads: Sequence[str]) -> Iterable[Plain]:
    data, apart = _folded(heads)
    data = _LEADING.sub(b"\0", b"\0" + data)
    data = _LINES.sub(b"\n", _WRAPPED.sub(b"\x01", data)).translate(_TABS)
    data = _BLANKS.sub(b" ", data).translate(_LAST_STEP, b"*_")
    for number, words in enumerate(data[1:].split(b"\0")):
        yield _NOT_COVERED if number in apart else Plain(words)


def _folded(heads: Sequence[str]) -> tuple[bytes, set[int]]:
    """Return texts as bytes joined by NUL, and which of them are left out (and empty)."""
    data = _bytes_of(heads)
    if data.count(b"\0") == len(heads) - 1 and not data.translate(None, _COVERED):
        if b"```" not in data:
            return data, set()
        rows = data.split(b"\0")
        apart = {number for number, row in enumerate(rows) if b"```" in row}
    else:
        rows = [_bytes_of([head]).replace(b"\0", b"\x03") for head in heads]
        apart = {number for number, row in enumerate(rows) if _ODD_BYTE.search(row)}
    return b"\0".join(b"" if n in apart else row for n, row in enumerate(rows)), apart


def _bytes_of(heads: Sequence[str]) -> bytes:
    joined = "\0".join(heads)
    if joined.isascii():
        return joined.encode()
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    data: bytes = _table()[np.minimum(codes, _PLANES)].tobytes()
    return data


@cache
def _table() -> npt.NDArray[np.uint8]:
    """Return the byte for each character: folded as `text` folds, with its case kept."""
    table = np.full(_PLANES + 1, ord("~"), np.uint8)
    letters = [chr(code) for code in range(_PLANES)]
    small = [code for code, letter in enumerate(letters) if letter.islower()]
    table[small] = _LOWER
    blank = [code for code, letter in enumerate(letters) if letter.isspace()]
    table[blank] = _ODD
    for code in {*range(0x80), *singly._FOLD}:
        letter, plain = letters[code], letters[code].translate(singly._FOLD)
        if letter in _COVERED_BLANKS or plain == " ":
            table[code] = ord(plain)
        elif plain.isascii() and not plain.isspace():
            is_small = letter.islower() and plain.islower()
            table[code] = ord(plain if is_small else plain.upper())
            if letter.islower() and not plain.islower():
                table[code] = _LOWER
    table[list(singly._UNSEEN)] = ord("*")  # goes in the same way
    return table
