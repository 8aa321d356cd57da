"""One line of JSON as a conversation, or the reason why it is none.

The shapes and their checks are those of `data.formats`; every row may have its own shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol

from uncensor_trainer.data import formats
from uncensor_trainer.data.formats import BadRow, Row
from uncensor_trainer.data.readers import SNIPPET, kind_of, shown
from uncensor_trainer.exits import InvalidInput

BLANK = b" \t\r\n"
MOST_TOKENS = 300_000
"""Of a line beyond LONG: a value of two bytes takes a hundred times as many once it is read."""
LONG = 1 << 20  # bytes
STRING = rb'"(?:[^"\\]++|\\.)*+"'
"""A text as JSON writes it; its dot is any byte."""
_TOKEN = re.compile(STRING + rb"|[,\[{]", re.DOTALL)
TEXT_KEYS = {
    "alpaca": ("instruction", "input", "output"),
    "prompt-completion": ("prompt", "completion"),
    "messages": ("messages", "role", "content"),
    "sharegpt": ("conversations", "from", "value"),
}
"""The keys that decide about a row, by format; a second one of these makes it ambiguous."""
_ANSWER_KEY = {"alpaca": "output", "prompt-completion": "completion"}
_TURNS_AND_TEXT = {"messages": ("messages", "content"), "sharegpt": ("conversations", "value")}


class BrokenRow(ValueError):  # noqa: N818 - says what was found, like the exits
    """A row that cannot be read; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A row as it was written and what it says.

    Attributes:
        value: the JSON object.
        shape: name of its format.
        row: its conversation.
        repeated: keys that are there twice, none of them decisive; only one of their values is in
            `value`.
    """

    value: dict[str, Any]
    shape: str
    row: Row
    repeated: frozenset[str] = frozenset()


def reading_of(line: bytes) -> Reading:
    """Read one line.

    Raises:
        BrokenRow: it is not UTF-8, not JSON, of no known format, or ambiguous.
    """
    value, repeated = _value(line)
    if not isinstance(value, dict):
        raise BrokenRow(f"{kind_of(value)}, want an object")
    shape = _shape(value)
    if twice := sorted(repeated & set(TEXT_KEYS[shape])):
        raise BrokenRow(f"the key {twice[0]!r} is there twice")
    row = formats._row(0, value, shape)
    if isinstance(row, BadRow):
        raise BrokenRow(row.reason)
    return Reading(value, shape, row, frozenset(repeated))


def snippet(line: bytes) -> str:
    """Return how a line begins, in a form that every file and terminal takes."""
    return shown(line[: 4 * SNIPPET].decode("utf-8", "replace")).rstrip()


class Change(Protocol):
    """What becomes of a row that is kept in part."""

    @property
    def texts(self) -> Mapping[int, str]:
        """New texts, by turn."""
        ...

    @property
    def removed(self) -> Collection[int]:
        """Turns that go."""
        ...


def changed(reading: Reading, change: Change) -> dict[str, Any]:
    """Return the object with new texts for some turns, and without others.

    Raises:
        BrokenRow: something else of the row would be lost.
    """
    if reading.repeated:
        raise BrokenRow(f"the key {min(reading.repeated)!r} is there twice, and one would be lost")
    value = dict(reading.value)
    if reading.shape in _ANSWER_KEY:
        (value[_ANSWER_KEY[reading.shape]],) = change.texts.values()
        return value
    turns_key, text_key = _TURNS_AND_TEXT[reading.shape]
    turns = [dict(turn) for turn in value[turns_key]]
    for number, text in change.texts.items():
        turns[number][text_key] = text
    value[turns_key] = [turn for n, turn in enumerate(turns) if n not in change.removed]
    return value


def as_line(value: dict[str, Any], like: bytes) -> bytes:
    """Return an object as a line in the manner of another: its escapes, blanks and end.

    Raises:
        BrokenRow: a number is so large that only infinity is left of it.
    """
    write = partial(json.dumps, separators=(",", ":") if b'": ' not in like else None)
    try:
        text = write(value, ensure_ascii=like.isascii(), allow_nan=_has_no_number(like))
        data = text.encode()
    except ValueError as error:
        if not isinstance(error, UnicodeEncodeError):
            raise BrokenRow("a number that is too large, and would be lost") from error
        data = write(value, ensure_ascii=True).encode()  # half a character, in another field
    return data + like[len(like.rstrip(b"\r\n")) :]


def _has_no_number(line: bytes) -> bool:
    """Tell whether a line writes what is no number itself, so that it may stay."""
    return b"NaN" in line or b"Infinity" in line


def _shape(value: dict[str, Any]) -> str:
    try:
        return formats.detect([value])
    except InvalidInput:
        fields = ", ".join(shown(str(key)) for key in list(value)[:8]) or "none"
        raise BrokenRow(f"no known format; fields found: {fields}") from None


def _value(line: bytes) -> tuple[Any, set[str]]:
    repeated: set[str] = set()

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            repeated.update(key for key in found if keys.count(key) > 1)
        return found

    if len(line) > LONG and any(True for _ in islice(_TOKEN.finditer(line), MOST_TOKENS, None)):
        raise BrokenRow(f"more than {MOST_TOKENS:,} values and texts")
    end = len(line.rstrip(b"\r\n"))
    try:
        # A view, for a copy of a long line is one too many.
        text = str(memoryview(line)[:end], "utf-8")
        return json.loads(text, object_pairs_hook=unique), repeated
    except UnicodeDecodeError as error:
        raise BrokenRow(f"column {error.start + 1}: not UTF-8") from error
    except json.JSONDecodeError as error:
        raise BrokenRow(f"column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise BrokenRow("nested too deeply") from error
    except ValueError as error:
        raise BrokenRow("a number with too many digits") from error
