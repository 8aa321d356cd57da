"""A whole block of lines read in a few calls, when every line is surely well-formed.

msgspec walks through every byte of every row and fails on what is not JSON, but leaves long texts
undecoded; a scan in one pass finds where each text begins and what msgspec takes for granted
(UTF-8, keys that are there twice or in disguise, NUL). Whatever is not sure is left to `rows`,
line by line: `sheet_of` then says None, or names the line.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from uncensor_trainer.data.formats import FIELDS, LONGEST_ROW, ROLES
from uncensor_trainer.filtering.policy import Turn
from uncensor_trainer.filtering.rows import TEXT_KEYS
from uncensor_trainer.filtering.screen import WINDOW
from uncensor_trainer.refusals.joined import Numbers
from uncensor_trainer.refusals.matching import Scanner, scanner

if TYPE_CHECKING:
    import msgspec
else:
    try:
        msgspec = import_module("msgspec")
    except ImportError:  # every line is then read by `json`, with the same result
        msgspec = None

LONGEST_LINE = LONGEST_ROW
"""Bytes; a longer line may be a row of too many characters, so that it is read on its own."""
_LF, _CR, _OPEN, _CLOSE, _QUOTE = b'\n\r{}"'
_MORE, _LAST = rb"[\x80-\xbf]", rb"[^\x80-\xbf]"
# Bytes that no UTF-8 text holds, after Unicode 16, table 3-7: a scan for them is four times as
# fast as decoding, and a test compares the two.
NOT_UTF8 = (
    rb"[\xc0\xc1\xf5-\xff]",
    rb"[\x00-\x7f]" + _MORE,
    rb"[\xc2-\xf4]" + _LAST,
    rb"[\xe0-\xf4]" + _MORE + _LAST,
    rb"[\xf0-\xf4]" + _MORE * 2 + _LAST,
    rb"\xe0[\x80-\x9f]|\xed[\xa0-\xbf]|\xf0[\x80-\x8f]|\xf4[\x90-\xbf]",
    rb"[\xc2-\xdf]" + _MORE * 2,
    rb"[\xe0-\xef]" + _MORE * 3,
    rb"[\xf0-\xf4]" + _MORE * 4,
)
# An escaped NUL, an escaped letter (of a key, perhaps), a number that `json` finds too long.
_DUBIOUS = (rb"\\u00(?:00|6|7)", rb"[0-9]{64}", *NOT_UTF8)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of a block.

    Attributes:
        texts: the byte at which each text begins that may be an answer.
        rows: the row that each of these stands in.
        answers: which of them are answers, by number; None when all are.
        dubious: lines to be read on their own whatever the rest says.
        turn: says what a text answers; told whether it surely has anchors.
    """

    texts: Sequence[int]
    rows: Sequence[int]
    answers: Sequence[int] | None
    dubious: Iterable[int]
    turn: Callable[[int, bool], Turn]
    lines: bytes
    bounds: Sequence[int]

    def windows(self, numbers: Iterable[int]) -> list[bytes]:
        """Return how some texts begin, undecoded, perhaps with more of their lines."""
        lines, texts, rows, bounds = self.lines, self.texts, self.rows, self.bounds
        return [lines[texts[n] : min(texts[n] + WINDOW, bounds[rows[n] + 1])] for n in numbers]


class _Reader(Protocol):
    keys: Sequence[str]
    """The text key first."""

    def read(self, rows: list[Any], counts: Sequence[int], starts: list[int]) -> _Found | None:
        """Return the answers of rows that have exactly the keys that were counted."""
        ...


@dataclass(frozen=True, slots=True)
class _Found:
    rows: Sequence[int]
    answers: Sequence[int] | None
    turn: Callable[[int, bool], Turn]


def sheet_of(lines: bytes, bounds: Numbers, shape: str) -> Sheet | None:
    """Read lines that are all rows of one format.

    Args:
        lines: one at least.
        bounds: where each line begins, and the end of the last.
        shape: the format.

    Returns:
        None when a line may be malformed or of another format.
    """
    num_lines = len(bounds) - 1
    if msgspec is None or not _one_object_a_line(lines, bounds):
        return None
    reader = _reader(shape)
    rows = _decoded(reader, lines, num_lines)
    if rows is None:
        return None
    kinds, ends = _scan(shape)(lines)
    counts = np.bincount(kinds, minlength=len(reader.keys) + 1)[: len(reader.keys)].tolist()
    starts = np.sort(ends[kinds == 0]).tolist()
    try:
        found = reader.read(rows, counts, starts)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # a text that had been left undecoded
        return None
    if found is None:
        return None
    odd = ends[kinds >= len(reader.keys)] - 1
    dubious = np.unique(np.searchsorted(bounds, odd, "right") - 1).tolist()
    return Sheet(starts, found.rows, found.answers, dubious, found.turn, lines, bounds.tolist())


def is_surely_json(value: bytes) -> bool:
    """Tell whether a value is JSON, if perhaps not UTF-8; a no says nothing."""
    if msgspec is not None:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            msgspec.json.decode(value, type=msgspec.Raw)
            return True
    return False


def _one_object_a_line(lines: bytes, bounds: Numbers) -> bool:
    """Tell whether every line begins with { and ends with }; the last may lack its end.

    No object can be broken between a } and a { without a comma, so as many objects as lines then
    means one on each.
    """
    data = np.frombuffer(lines, np.uint8)
    ends = bounds[1:] - 1
    if data[-1] != _LF:
        ends = ends[:-1]
    before = data[ends - 1]
    before = np.where(before == _CR, data[ends - 2], before)
    return bool((data[bounds[:-1]] == _OPEN).all() and (before == _CLOSE).all())


def _decoded(reader: Any, lines: bytes, num_lines: int) -> list[Any] | None:
    try:
        rows: list[Any] = reader.decoder.decode_lines(lines)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return rows if len(rows) == num_lines else None


@cache
def _scan(shape: str) -> Scanner:
    reader = _reader(shape)
    keys = [b'"%s"\\s*:\\s*"' % reader.keys[0].encode()]
    keys += [b'"%s"\\s*:' % key.encode() for key in reader.keys[1:]]
    return scanner([*keys, *(b'"%s"' % key.encode() for key in _other_keys(shape)), *_DUBIOUS])


def _other_keys(shape: str) -> list[str]:
    """Return a key of every format that would be preferred to this one if it were there."""
    names = list(FIELDS)
    return [min(FIELDS[name]) for name in names[: names.index(shape)]]


class _Pairs:
    """An instruction and an answer, the second left undecoded."""

    def __init__(self, shape: str) -> None:
        asked, *inputs, answered = TEXT_KEYS[shape]
        self.keys = (answered, asked, *inputs)
        fields: list[Any] = [(asked, str), (answered, msgspec.Raw)]
        fields += [(key, str | msgspec.UnsetType | None, msgspec.UNSET) for key in inputs]
        self.decoder: Any = msgspec.json.Decoder(msgspec.defstruct("Pair", fields, gc=False))

    def read(self, rows: list[Any], counts: Sequence[int], starts: list[int]) -> _Found | None:
        """A key that is there as often as it is needed is nowhere twice."""
        answered, asked, *inputs = self.keys
        is_sure = counts[0] == counts[1] == len(rows)
        if not is_sure or not _are_texts(getattr(row, answered) for row in rows):
            return None
        if not all(getattr(row, asked).strip() for row in rows):
            return None
        for key, count in zip(inputs, counts[2:], strict=True):
            if sum(getattr(row, key) is not msgspec.UNSET for row in rows) != count:
                return None

        def turn(number: int, is_anchored: bool) -> Turn:
            row = rows[number]
            more = [text for key in inputs if (text := getattr(row, key) or "")]
            question = "\n".join([getattr(row, asked), *more])
            return Turn(1, question, _text(getattr(row, answered)), is_anchored)

        return _Found(range(len(rows)), None, turn)


class _Talks:
    """Conversations, their texts left undecoded."""

    def __init__(self, shape: str) -> None:
        turns_key, role_key, text_key = TEXT_KEYS[shape]
        self.keys = (text_key, role_key, turns_key)
        names = {"role": role_key, "text": text_key}
        fields = [("role", str), ("text", msgspec.Raw)]
        turn: Any = msgspec.defstruct("Turn", fields, rename=names, gc=False)
        row = msgspec.defstruct(
            "Talk", [("turns", list[turn])], rename={"turns": turns_key}, gc=False
        )
        self.decoder: Any = msgspec.json.Decoder(row)

    def read(self, rows: list[Any], counts: Sequence[int], starts: list[int]) -> _Found | None:
        """Roles have to take turns; every turn has one role and one text."""
        turns = [turn for row in rows for turn in row.turns]
        is_sure = list(counts) == [len(turns), len(turns), len(rows)]
        if not is_sure or not _are_texts(turn.text for turn in turns):
            return None
        numbers: list[int] = []
        answers: list[int] = []
        for number, row in enumerate(rows):
            roles = [ROLES.get(turn.role.lower(), "") for turn in row.turns]
            if not _take_turns(roles):
                return None
            for turn, role in zip(row.turns, roles, strict=True):
                if role == "assistant":
                    answers.append(len(numbers))
                elif role == "user" and _is_blank(turn.text):
                    return None
                numbers.append(number)

        def answer(number: int, is_anchored: bool) -> Turn:
            place = number - bisect_left(numbers, numbers[number])
            question, text = _text(turns[number - 1].text), _text(turns[number].text)
            return Turn(place, question, text, is_anchored)

        return _Found(numbers, answers, answer)


def _are_texts(raws: Iterable[Any]) -> bool:
    """Tell whether undecoded values are all strings.

    Then each has a key of its own, and as many keys as values means that none is there twice.
    """
    return all(memoryview(raw)[0] == _QUOTE for raw in raws)


def _is_blank(text: Any) -> bool:
    raw = bytes(text)
    # A letter at the beginning is the rule, and spares decoding.
    return not raw[1:2].isalnum() and not _text(text).strip()


def _text(raw: Any) -> str:
    text: str = msgspec.json.decode(raw, type=str)
    return text


def _take_turns(roles: list[str]) -> bool:
    """Tell whether user and assistant alternate after at most one word of the system."""
    turns = roles[1:] if roles[:1] == ["system"] else roles
    return (
        len(turns) > 1
        and all(role == "user" for role in turns[::2])
        and all(role == "assistant" for role in turns[1::2])
    )


@cache
def _reader(shape: str) -> Any:
    return _Pairs(shape) if shape in {"alpaca", "prompt-completion"} else _Talks(shape)
