"""The answers of a whole block of lines in one call, when every line is surely well-formed.

msgspec reads the fields that matter four times as fast as `json` reads everything. Whatever it
does not take for granted (broken lines, two rows on a line, repeated keys, NUL, unknown roles)
is left to `rows`, line by line: `answers_of` then says None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from uncensor_trainer.data.formats import LONGEST_ROW, ROLES
from uncensor_trainer.filtering.rows import TEXT_KEYS

if TYPE_CHECKING:
    import msgspec
else:
    try:
        msgspec = import_module("msgspec")
    except ImportError:  # every line is then read by `json`, with the same result
        msgspec = None

_LF, _CR, _OPEN, _CLOSE = b"\n\r{}"


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a block.

    Attributes:
        texts: all answers in order.
        rows: the row that each stands in; None when every row has exactly one.
    """

    texts: list[str]
    rows: list[int] | None = None


Reader = Callable[[bytes, int], Answers | None]


def answers_of(lines: bytes, num_lines: int, shape: str) -> Answers | None:
    """Return the answers of lines that are all rows of one format; None when that is not sure."""
    if msgspec is None or not _one_object_a_line(lines, num_lines) or not _plain_bytes(lines):
        return None
    return _READERS[shape](lines, num_lines)


def _one_object_a_line(lines: bytes, num_lines: int) -> bool:
    """Tell whether every line begins with { and ends with }.

    No object can be broken between a } and a { without a comma, so as many objects as lines then
    means one on each.
    """
    data = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(data == _LF)
    if not len(data) or data[0] != _OPEN or len(ends) + (data[-1] != _LF) != num_lines:
        return False
    begins = ends[:-1] + 1 if data[-1] == _LF else ends + 1
    return bool((data[begins] == _OPEN).all()) and _closed(data, ends)


def _closed(data: npt.NDArray[np.uint8], ends: npt.NDArray[np.intp]) -> bool:
    before = data[ends - 1]
    before = np.where(before == _CR, data[ends - 2], before)
    return bool((before == _CLOSE).all())


def _plain_bytes(lines: bytes) -> bool:
    """Tell whether all is UTF-8, without an escaped NUL and without letters in disguise."""
    if b"\\u00" in lines and any(escape in lines for escape in (b"\\u0000", b"\\u006", b"\\u007")):
        return False
    try:
        return lines.isascii() or bool(lines.decode())
    except UnicodeDecodeError:
        return False


def _decoded(decoder: Any, lines: bytes, num_lines: int) -> list[Any] | None:
    try:
        rows: list[Any] = decoder.decode_lines(lines)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return rows if len(rows) == num_lines else None


def _each_once(lines: bytes, keys: Sequence[str], times: int) -> bool:
    """A key that is there as often as it is needed is nowhere twice."""
    return all(lines.count(b'"%s"' % key.encode()) == times for key in keys)


def _alpaca_reader() -> Reader:
    class Alpaca(msgspec.Struct, gc=False):
        instruction: str
        output: str
        input: str | msgspec.UnsetType | None = msgspec.UNSET

    decoder = msgspec.json.Decoder(Alpaca)

    def read(lines: bytes, num_lines: int) -> Answers | None:
        rows = _decoded(decoder, lines, num_lines)
        if rows is None or not _each_once(lines, ("instruction", "output"), num_lines):
            return None
        inputs = sum(row.input is not msgspec.UNSET for row in rows)
        if not _each_once(lines, ("input",), inputs):
            return None
        if not all(row.instruction.strip() for row in rows):
            return None
        return Answers([row.output for row in rows])

    return read


def _completion_reader() -> Reader:
    class Completion(msgspec.Struct, gc=False):
        prompt: str
        completion: str

    decoder = msgspec.json.Decoder(Completion)

    def read(lines: bytes, num_lines: int) -> Answers | None:
        rows = _decoded(decoder, lines, num_lines)
        if rows is None or not _each_once(lines, TEXT_KEYS["prompt-completion"], num_lines):
            return None
        if not all(row.prompt.strip() for row in rows):
            return None
        return Answers([row.completion for row in rows])

    return read


def _turns_reader(shape: str) -> Reader:
    turns_key, role_key, text_key = TEXT_KEYS[shape]
    names = {"role": role_key, "text": text_key}
    turn: Any = msgspec.defstruct("Turn", [("role", str), ("text", str)], rename=names, gc=False)
    fields = [("turns", list[turn])]
    row = msgspec.defstruct("TurnsRow", fields, rename={"turns": turns_key}, gc=False)
    decoder = msgspec.json.Decoder(row)

    def read(lines: bytes, num_lines: int) -> Answers | None:
        rows = _decoded(decoder, lines, num_lines)
        if rows is None or not _each_once(lines, (turns_key,), num_lines):
            return None
        if not _each_once(lines, (role_key, text_key), sum(len(row.turns) for row in rows)):
            return None
        return _answers_of_turns(rows)

    return read


def _answers_of_turns(rows: list[Any]) -> Answers | None:
    texts: list[str] = []
    numbers: list[int] = []
    for number, row in enumerate(rows):
        roles = [ROLES.get(turn.role.lower(), "") for turn in row.turns]
        if not _take_turns(roles) or not all(
            turn.text.strip() for turn, role in zip(row.turns, roles, strict=True) if role == "user"
        ):
            return None
        for turn, role in zip(row.turns, roles, strict=True):
            if role == "assistant":
                texts.append(turn.text)
                numbers.append(number)
    return Answers(texts, numbers)


def _take_turns(roles: list[str]) -> bool:
    """Tell whether user and assistant alternate after at most one word of the system."""
    turns = roles[1:] if roles[:1] == ["system"] else roles
    return (
        len(turns) > 1
        and all(role == "user" for role in turns[::2])
        and all(role == "assistant" for role in turns[1::2])
    )


LONGEST_LINE = LONGEST_ROW
"""Bytes; a longer line may be a row of too many characters, so that it is read on its own."""
_READERS: dict[str, Reader] = (
    {
        "alpaca": _alpaca_reader(),
        "prompt-completion": _completion_reader(),
        "messages": _turns_reader("messages"),
        "sharegpt": _turns_reader("sharegpt"),
    }
    if msgspec is not None
    else {}
)
