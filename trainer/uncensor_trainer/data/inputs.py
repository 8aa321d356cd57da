"""Reads the short lists that models are asked with: questions, and answers to compare with.

A bad row of training data is set aside; a bad entry here stops the stage, because a list that
lost an entry measures something else than its author meant.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Protocol, TypeVar

from uncensor_trainer.exits import InvalidInput

PROBE = "probe.jsonl"
REFUSAL_PROMPTS = "refusal_prompts.jsonl"
CLEAN_ANSWERS = "clean_answers.jsonl"

# The first name that an entry has is taken; `Instruction` is what the original's test set says.
PROMPT_FIELDS = ("prompt", "instruction", "Instruction")
RESPONSE_FIELDS = ("response", "output")
IDENTITY_FIELDS = ("id", "idx")


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask a model."""

    identity: str | int
    """`id` or `idx` of the entry; its place in the list, from 1, when it has none."""
    prompt: str
    category: str = ""
    """`category` or `Skill` of the entry; empty when it has none."""


@dataclass(frozen=True, slots=True)
class ReferenceAnswer:
    """A question with the answer that a good model finds likely."""

    identity: str | int
    instruction: str
    response: str


class _Identified(Protocol):
    @property
    def identity(self) -> str | int: ...


_Item = TypeVar("_Item", bound=_Identified)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One JSON object and where it stands, in words."""

    fields: dict[str, Any]
    place: str
    number: int


def bundled(name: str) -> Traversable:
    """Return a list that comes with this package."""
    return resources.files("uncensor_trainer").joinpath("bundled", name)


def read_questions(files: Sequence[Traversable]) -> list[Question]:
    """Return the questions of JSON-lines or JSON-array files, in order.

    Raises:
        InvalidInput: a file cannot be read, an entry is bad (the message names its line), two
            entries have the same id, or there is none.
    """
    return _read(files, _question, 'want one object a line, such as {"id": 1, "prompt": "..."}')


def read_reference_answers(files: Sequence[Traversable]) -> list[ReferenceAnswer]:
    """Return the reference answers of JSON-lines or JSON-array files, in order.

    Raises:
        InvalidInput: as for `read_questions`.
    """
    form = 'want one object a line, such as {"instruction": "...", "response": "..."}'
    return _read(files, _reference_answer, form)


def _question(entry: _Entry) -> Question:
    category = entry.fields.get("category", entry.fields.get("Skill")) or ""
    return Question(_identity(entry), _text(entry, PROMPT_FIELDS), str(category))


def _reference_answer(entry: _Entry) -> ReferenceAnswer:
    instruction = _text(entry, PROMPT_FIELDS)
    return ReferenceAnswer(_identity(entry), instruction, _text(entry, RESPONSE_FIELDS))


def _read(
    files: Sequence[Traversable], convert: Callable[[_Entry], _Item], form: str
) -> list[_Item]:
    items: list[_Item] = []
    places: dict[str, str] = {}
    for file in files:
        for entry in _entries(file, len(items)):
            item = convert(entry)
            # As text, because 1 and "1" look the same wherever answers are compared.
            key = str(item.identity)
            if key in places:
                raise InvalidInput(
                    f"{entry.place}: the id {key!r} stands at {places[key]} already; give every "
                    "entry its own."
                )
            places[key] = entry.place
            items.append(item)
    if not items:
        names = ", ".join(file.name for file in files) or "no files"
        raise InvalidInput(f"The list is empty ({names}); {form}.")
    return items


def _entries(file: Traversable, before: int) -> Iterator[_Entry]:
    text = _decoded(file)
    values = _array(file, text) if text.lstrip().startswith("[") else _lines(file, text)
    for number, (place, value) in enumerate(values, start=before + 1):
        if not isinstance(value, dict):
            raise InvalidInput(f"{place}: found a {type(value).__name__}, want an object.")
        yield _Entry(value, place, number)


def _decoded(file: Traversable) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InvalidInput(f"The file {file} does not exist.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{file.name} is not UTF-8 text (byte {error.start + 1}); want JSON lines or a JSON "
            "array."
        ) from error


def _array(file: Traversable, text: str) -> Iterator[tuple[str, Any]]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"{file.name}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}."
        ) from error
    except RecursionError as error:
        raise InvalidInput(f"{file.name} is nested too deeply.") from error
    for number, value in enumerate(values, start=1):
        yield f"{file.name}, entry {number}", value


def _lines(file: Traversable, text: str) -> Iterator[tuple[str, Any]]:
    # Not splitlines(): that also cuts at U+2028, which JSON allows inside a string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{file.name}, line {number}"
        try:
            yield place, json.loads(line)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"{place}, column {error.colno}: not JSON: {error.msg}.") from error
        except RecursionError as error:
            raise InvalidInput(f"{place}: nested too deeply.") from error


def _text(entry: _Entry, names: Sequence[str]) -> str:
    name = next((name for name in names if name in entry.fields), None)
    if name is None:
        found = ", ".join(sorted(entry.fields)) or "no fields"
        raise InvalidInput(f"{entry.place}: want one of {', '.join(names)}; found {found}.")
    value = entry.fields[name]
    if not isinstance(value, str) or not value.strip():
        found = "empty" if isinstance(value, str) else f"a {type(value).__name__}"
        raise InvalidInput(f"{entry.place}: {name} is {found}, want text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # Half a surrogate pair ("\ud83d") is valid JSON, but no tokenizer takes it.
        raise InvalidInput(
            f"{entry.place}: {name} holds half a character (\\u{ord(value[error.start]):04x}) at "
            f"{error.start + 1}; write the whole one."
        ) from error
    return value


def _identity(entry: _Entry) -> str | int:
    value = next((entry.fields[name] for name in IDENTITY_FIELDS if name in entry.fields), None)
    if value is None:
        return entry.number
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidInput(
            f"{entry.place}: the id is a {type(value).__name__}, want text or a whole number."
        )
    return value
