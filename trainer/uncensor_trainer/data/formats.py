"""Instruction data in its four usual shapes, read into one.

A malformed row becomes a `BadRow` with its reason; it never stops the others.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uncensor_trainer.data.readers import Unreadable, kind_of, shown, values_of
from uncensor_trainer.exits import InvalidInput

LONGEST_ROW = 1_000_000  # characters; a row this long is a book, or a file by mistake
_PEEK = 1000  # rows that may be broken before the first that shows the format

ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn."""

    role: str
    """system, user or assistant."""
    content: str
    input: str = ""
    """The separate `input` of an alpaca row; empty otherwise."""

    def as_json(self) -> dict[str, str]:
        """Return the form that stands in kept.jsonl."""
        value = {"role": self.role, "content": self.content}
        return {**value, "input": self.input} if self.input else value


@dataclass(frozen=True, slots=True)
class Row:
    """A well-formed conversation and where it stood (0-based)."""

    index: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, why, and how it begins."""

    index: int
    reason: str
    snippet: str


class _MalformedError(ValueError):
    """Carries the reason of a BadRow."""


def read_rows(
    paths: list[Path], data_format: str, max_rows: int | None = None
) -> Iterator[Row | BadRow]:
    """Yield the rows of the files of one data set, in order.

    Raises:
        InvalidInput: a file is absent, not JSON at all, of an unknown kind, or empty; or the
            format is `auto` and no known one fits.
    """
    raw = _numbered(paths, max_rows)
    head: list[tuple[int, Any]] = []
    if data_format == "auto":
        head = list(_up_to_a_known_row(raw))
        data_format = detect(value for _, value in head)
    for index, value in itertools.chain(head, raw):
        yield _row(index, value, data_format)


def detect(values: Iterable[Any]) -> str:
    """Return the name of the format that the first rows have.

    Raises:
        InvalidInput: none fits; the message names the fields that were found.
    """
    seen: dict[str, None] = {}
    broken = ""
    for value in values:
        if found := _format_of(value):
            return found
        if isinstance(value, dict):
            seen.update(dict.fromkeys(shown(str(key)) for key in value))
        elif isinstance(value, Unreadable):
            broken = broken or f" The first row: {value.reason}."
    wanted = "; ".join(f"{name}: {', '.join(sorted(f))}" for name, f in FIELDS.items())
    fields = ", ".join(list(seen)[:12]) or "none"
    raise InvalidInput(
        f"The format of the data set is not one we know. Fields found: {fields}.{broken} Known "
        f"formats and the fields they need: {wanted}. Rename the fields, or set the data set's "
        "format."
    )


def _format_of(value: Any) -> str:
    """Return the format whose fields a value has; nothing when there is none."""
    if not isinstance(value, dict):
        return ""
    return next((name for name, fields in FIELDS.items() if fields <= value.keys()), "")


def _is_row(value: dict[str, Any]) -> bool:
    """Tell a row from an object around rows, or one with a list for each field."""
    name = _format_of(value)
    return bool(name) and (
        len(FIELDS[name]) == 1 or not any(isinstance(value[key], list) for key in FIELDS[name])
    )


def _up_to_a_known_row(raw: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    for item in itertools.islice(raw, _PEEK):
        yield item
        if _format_of(item[1]):
            return


def _numbered(paths: list[Path], max_rows: int | None) -> Iterator[tuple[int, Any]]:
    count = 0
    for path in paths:
        for value in values_of(path, _is_row):
            if max_rows is not None and count >= max_rows:
                return
            yield count, value
            count += 1
    if count == 0:
        names = ", ".join(path.name for path in paths) or "no files"
        raise InvalidInput(f"The data set is empty ({names}); it must hold at least one row.")


def _row(index: int, value: Any, data_format: str) -> Row | BadRow:
    if isinstance(value, Unreadable):
        return BadRow(index, value.reason, value.snippet)
    try:
        messages = _messages_of(value, data_format)
    except _MalformedError as problem:
        return BadRow(index, _reason(problem, value, data_format), _snippet(value))
    return Row(index, messages)


def _messages_of(value: Any, data_format: str) -> tuple[Message, ...]:
    if not isinstance(value, dict):
        raise _MalformedError(f"{kind_of(value)}, want an object")
    messages = tuple(CONVERTERS[data_format](value))
    _check_turns(messages)
    length = sum(len(message.content) + len(message.input) for message in messages)
    if length > LONGEST_ROW:
        raise _MalformedError(f"{length:,} characters, more than {LONGEST_ROW:,}")
    return messages


def _reason(problem: _MalformedError, value: Any, data_format: str) -> str:
    other = _format_of(value)
    if not other or FIELDS[data_format] <= value.keys():
        return str(problem)
    return (
        f"has the fields of {other}, and the data set is {data_format}; give rows of another "
        "format a data set of their own"
    )


def _snippet(value: Any) -> str:
    try:
        return shown(json.dumps(value, ensure_ascii=False, default=str))
    except (ValueError, TypeError, RecursionError):
        return shown(str(type(value)))


def _check_turns(messages: tuple[Message, ...]) -> None:
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns or turns[0].role != "user":
        raise _MalformedError("the first turn is not the user's")
    for before, after in itertools.pairwise(turns):
        if after.role in {before.role, "system"}:
            raise _MalformedError(f"a turn of {after.role} follows a turn of {before.role}")
    if not any(turn.role == "assistant" for turn in turns):
        raise _MalformedError("no answer of the assistant")
    if any(turn.role == "user" and not turn.content.strip() for turn in turns):
        raise _MalformedError("an empty instruction")


def _text(row: dict[str, Any], key: str, *, default: str | None = None) -> str:
    value = row.get(key, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        found = kind_of(value) if key in row else "absent"
        raise _MalformedError(f"{key} is {found}, want text")
    _refuse_no_text(key, value)
    return value


def _refuse_no_text(key: str, value: str) -> None:
    """JSON can say what no text holds, and what no UTF-8 file takes."""
    if "\0" in value:
        raise _MalformedError(f"{key} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _MalformedError(f"{key} holds half a character (a lone surrogate)") from error


def _alpaca(row: dict[str, Any]) -> list[Message]:
    question = Message("user", _text(row, "instruction"), _text(row, "input", default=""))
    return [question, Message("assistant", _text(row, "output"))]


def _turns(row: dict[str, Any], key: str, role_key: str, text_key: str) -> list[Message]:
    turns = row.get(key)
    if not isinstance(turns, list) or not turns:
        raise _MalformedError(f"{key} is not a list with turns")
    messages = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise _MalformedError(f"{key} holds {kind_of(turn)}, want objects")
        role = str(turn.get(role_key)).lower()
        if role not in ROLES:
            known = ", ".join(sorted(ROLES))
            raise _MalformedError(f"unknown role {role[:40]!r}; known: {known}")
        messages.append(Message(ROLES[role], _text(turn, text_key)))
    return messages


def _sharegpt(row: dict[str, Any]) -> list[Message]:
    return _turns(row, "conversations", "from", "value")


def _messages(row: dict[str, Any]) -> list[Message]:
    return _turns(row, "messages", "role", "content")


def _prompt_completion(row: dict[str, Any]) -> list[Message]:
    return [Message("user", _text(row, "prompt")), Message("assistant", _text(row, "completion"))]


FIELDS: dict[str, set[str]] = {
    "alpaca": {"instruction", "output"},
    "sharegpt": {"conversations"},
    "messages": {"messages"},
    "prompt-completion": {"prompt", "completion"},
}
CONVERTERS: dict[str, Callable[[dict[str, Any]], list[Message]]] = {
    "alpaca": _alpaca,
    "sharegpt": _sharegpt,
    "messages": _messages,
    "prompt-completion": _prompt_completion,
}
