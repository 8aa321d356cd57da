"""The elements of one JSON array, found in constant memory.

Brackets and strings tell where an element ends; whether it is JSON is asked afterwards, and nothing
of it is kept. An array that is no JSON is refused as a whole: where its next element would begin is
a guess then, and rows could be lost in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering.quick import is_surely_json
from uncensor_trainer.filtering.rows import STRING

STEP = 1 << 20  # bytes that are read at a time
Read = Callable[[int], bytes]
# A quote mark without its string is one whose end has not been read yet.
_TOKEN = re.compile(STRING + rb'|["\[\]{}]', re.DOTALL)
_END_OF_WORD = re.compile(rb"[\s,\]]")
_NO_BLANK = re.compile(rb"[^ \t\r\n]")
_OPENING, _CLOSING = b"[{", b"]}"
_CUT_OFF = "it ends in the middle"


class _Window:
    """A moving piece of the array.

    Attributes:
        data: what is in view.
        offset: the byte at which it begins.
        is_last: the array ends with it.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self.data = b""
        self.offset = 0
        self.is_last = False

    def more(self) -> None:
        """Append what comes next."""
        piece = self._read(STEP)
        self.is_last = not piece
        self.data += piece

    def forget(self, count: int) -> None:
        """Drop the beginning."""
        self.data = self.data[count:]
        self.offset += count

    def past_blanks(self, position: int) -> int:
        """Return the place of the next byte that is no blank, or the end."""
        while True:
            if found := _NO_BLANK.search(self.data, position):
                return found.start()
            position = len(self.data)
            if self.is_last:
                return position
            if position > STEP:  # nobody needs all the blanks
                self.forget(position)
                position = 0
            self.more()

    def mark(self, position: int) -> bytes:
        """Return one byte; none at the end."""
        return self.data[position : position + 1]


def elements(name: str, read: Read, longest: int) -> Iterator[tuple[int, bytes]]:
    """Yield (byte, element) for each element of an array.

    Args:
        name: of the input, for people.
        read: returns the next bytes of a text whose first mark is a bracket.
        longest: bytes that an element may have.

    Raises:
        InvalidInput: it is no array, or an element is too long.
    """
    window = _Window(read)
    window.more()
    count = 0
    position = window.past_blanks(window.data.find(b"[") + 1)
    while window.mark(position) != b"]":
        if position > STEP:  # seldom, for it copies what is left
            window.forget(position)
            position = 0
        start = window.offset + position
        if not window.mark(position):
            raise _refusal(name, start, count, _CUT_OFF)
        end = _end(name, window, position, count, longest)
        element = window.data[position:end]
        _check(name, start, element, count)
        yield start, element
        count += 1
        position = window.past_blanks(end)
        if window.mark(position) == b",":
            position = window.past_blanks(position + 1)
        elif window.mark(position) != b"]":
            problem = "want a comma or ]" if window.mark(position) else _CUT_OFF
            raise _refusal(name, window.offset + position, count, problem)
    rest = window.past_blanks(position + 1)
    if rest < len(window.data):
        raise _refusal(name, window.offset + rest, count, "something after the ]")


def _end(name: str, window: _Window, start: int, count: int, longest: int) -> int:
    """Return where an element ends."""
    position, depth = start, 0
    while True:
        end, position, depth = _walk(window, position, depth)
        if end is not None and end - start <= longest:
            return end
        if len(window.data) - start > longest:
            problem = f"it is longer than {longest >> 20} MiB"
            raise _refusal(name, window.offset + start, count, problem)
        if window.is_last:
            raise _refusal(name, window.offset + start, count, _CUT_OFF)
        window.more()


def _walk(window: _Window, position: int, depth: int) -> tuple[int | None, int, int]:
    """Return the end of the element if it is in view, else where to go on and how deep that is."""
    data = window.data
    if not depth and window.mark(position) not in {b'"', b"[", b"{"}:
        word = _END_OF_WORD.search(data, position)
        end = word.start() if word else len(data) if window.is_last else None
        return end, position, 0
    for token in _TOKEN.finditer(data, position):
        start, end = token.span()
        mark = data[start]
        if mark in _OPENING:
            depth += 1
        elif mark in _CLOSING:
            depth -= 1
        elif end - start == 1:
            return None, start, depth
        if not depth:
            return end, end, 0
        position = end
    return None, position, depth


def _check(name: str, start: int, element: bytes, count: int) -> None:
    """Refuse an element that is no JSON; one that is not UTF-8 or too deep is a row's problem."""
    if is_surely_json(element):
        return
    text = element.decode("utf-8", "surrogateescape")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        before = len(text[: error.pos].encode("utf-8", "surrogateescape"))
        raise _refusal(name, start + before, count, error.msg) from error
    except (RecursionError, ValueError):
        return


def _refusal(name: str, byte: int, count: int, problem: str) -> InvalidInput:
    return InvalidInput(
        f"{name} is a JSON array that cannot be read beyond element {count} (byte {byte:,}): "
        f"{problem}. Nothing was written. Correct it there, or write one row a line (.jsonl), so "
        "that a broken row harms no other."
    )
