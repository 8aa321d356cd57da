"""Instruction data in its four usual shapes, read into one.

A malformed row becomes a `BadRow` with its reason; it never stops the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uncensor_trainer.exits import InvalidInput

SNIPPET = 200
_PEEK = 50

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


class _Malformed(ValueError):
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
        for item in raw:
            head.append(item)
            if len(head) == _PEEK:
                break
        data_format = detect(value for _, value in head)
    convert = CONVERTERS[data_format]
    for index, value in _chain(head, raw):
        yield _row(index, value, convert)


def detect(values: Iterator[Any]) -> str:
    """Return the name of the format that the first rows have.

    Raises:
        InvalidInput: none fits; the message names the fields that were found.
    """
    seen: set[str] = set()
    for value in values:
        if not isinstance(value, dict):
            continue
        seen.update(str(key) for key in value)
        for name, fields in FIELDS.items():
            if fields <= value.keys():
                return name
    wanted = "; ".join(f"{name}: {', '.join(sorted(f))}" for name, f in FIELDS.items())
    found = ", ".join(sorted(seen)[:12]) or "no JSON objects"
    raise InvalidInput(
        f"The format of the data set is not one we know. Fields found: {found}. Known formats and "
        f"the fields they need: {wanted}. Rename the fields, or set the data set's format."
    )


def _chain(head: list[tuple[int, Any]], rest: Iterator[tuple[int, Any]]) -> Iterator[Any]:
    yield from head
    yield from rest


def _numbered(paths: list[Path], max_rows: int | None) -> Iterator[tuple[int, Any]]:
    count = 0
    for path in paths:
        for value in _values(path):
            if max_rows is not None and count >= max_rows:
                return
            yield count, value
            count += 1
    if count == 0:
        names = ", ".join(path.name for path in paths) or "no files"
        raise InvalidInput(f"The data set is empty ({names}); it must hold at least one row.")


def _values(path: Path) -> Iterator[Any]:
    if not path.exists():
        raise InvalidInput(f"The data file {path} does not exist.")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        yield from _parquet(path)
    elif suffix in {".jsonl", ".ndjson"} or not _is_one_document(path):
        yield from _json_lines(path)
    else:
        yield from _json_document(path)


def _is_one_document(path: Path) -> bool:
    """A .json file may hold a list, or (like the original's data) one object a line."""
    if path.suffix.lower() != ".json":
        raise InvalidInput(f"{path.name} is not a data file: want .json, .jsonl or .parquet.")
    with path.open("rb") as file:
        start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
        if start[:1] != b"{":
            return True
        file.seek(0)
        try:
            json.loads(next(line for line in file if line.strip()))
        except ValueError:
            return True
        return False


def _json_document(path: Path) -> Iterator[Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"{path} is not readable JSON: line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}."
        ) from error
    except RecursionError as error:
        raise InvalidInput(f"{path} is nested too deeply to be instruction data.") from error
    if isinstance(value, dict):
        value = next((v for v in value.values() if isinstance(v, list)), [value])
    if not isinstance(value, list):
        raise InvalidInput(f"{path} holds a {type(value).__name__}; want a list of objects.")
    yield from value


def _json_lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except json.JSONDecodeError as error:
                yield _Malformed(f"line {number}, column {error.colno}: {error.msg}", line)
            except UnicodeDecodeError as error:
                yield _Malformed(f"line {number}, byte {error.start + 1}: not UTF-8", line)
            except RecursionError:
                yield _Malformed(f"line {number}: nested too deeply", line)


def _parquet(path: Path) -> Iterator[Any]:
    from pyarrow import ArrowInvalid, parquet  # noqa: PLC0415 - only Parquet users wait for it

    try:
        file = parquet.ParquetFile(path)
        for batch in file.iter_batches(batch_size=1024):
            yield from batch.to_pylist()
    except (ArrowInvalid, OSError) as error:
        raise InvalidInput(f"{path} is not readable Parquet: {error}") from error


def _row(
    index: int, value: Any, convert: Callable[[dict[str, Any]], list[Message]]
) -> Row | BadRow:
    if isinstance(value, _Malformed):
        reason, line = value.args
        return BadRow(index, reason, line[:SNIPPET].decode("utf-8", "replace"))
    try:
        if not isinstance(value, dict):
            raise _Malformed(f"a {type(value).__name__}, want an object")
        messages = tuple(convert(value))
        _check_turns(messages)
    except _Malformed as problem:
        return BadRow(
            index, str(problem), json.dumps(value, ensure_ascii=False, default=str)[:SNIPPET]
        )
    return Row(index, messages)


def _check_turns(messages: tuple[Message, ...]) -> None:
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not turns or turns[0].role != "user":
        raise _Malformed("the first turn is not the user's")
    for before, after in zip(turns, turns[1:], strict=False):
        if before.role == after.role or after.role == "system":
            raise _Malformed(f"a turn of {after.role} follows a turn of {before.role}")
    if not any(turn.role == "assistant" for turn in turns):
        raise _Malformed("no answer of the assistant")
    if any(turn.role == "user" and not turn.content.strip() for turn in turns):
        raise _Malformed("an empty instruction")


def _text(row: dict[str, Any], key: str, *, default: str | None = None) -> str:
    value = row.get(key, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        found = "absent" if key not in row else f"a {type(value).__name__}"
        raise _Malformed(f"{key} is {found}, want text")
    return value


def _alpaca(row: dict[str, Any]) -> list[Message]:
    question = Message("user", _text(row, "instruction"), _text(row, "input", default=""))
    return [question, Message("assistant", _text(row, "output"))]


def _turns(row: dict[str, Any], key: str, role_key: str, text_key: str) -> list[Message]:
    turns = row.get(key)
    if not isinstance(turns, list) or not turns:
        raise _Malformed(f"{key} is not a list with turns")
    messages = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise _Malformed(f"{key} holds a {type(turn).__name__}, want objects")
        role = turn.get(role_key)
        if not isinstance(role, str) or role not in ROLES:
            raise _Malformed(f"unknown role {role!r}; known: {', '.join(sorted(ROLES))}")
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
