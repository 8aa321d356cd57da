"""Values given on the command line: `--set training.epochs=1` changes every manifest that is read.

A path is checked against the API before any file is read, so that a typing error in it is told
once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from uncensor_operator.api.documents import Node, UnreadableError, value_of
from uncensor_operator.api.fields import kind_at, kinds_of
from uncensor_operator.api.problems import Location, Problem, dotted, suggestion
from uncensor_operator.api.v1alpha1 import UncensorTraining

_PART = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
_SETTABLE = ("spec", "metadata")


@dataclass(frozen=True, slots=True)
class Override:
    """One value and where it goes."""

    path: Location
    value: Node


def override_of(text: str) -> Override | Problem:
    """Return what `path=value` asks for, or why it cannot be done; `spec.` may be left out."""
    origin = f"--set {text}"
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        return Problem("", "wanted path=value, as in training.epochs=1", origin)
    path = location_of(name.strip())
    if path[0] not in kinds_of(UncensorTraining):
        path = ("spec", *path)
    if path[0] not in _SETTABLE or len(path) == 1:
        return Problem(dotted(path), "cannot be set; wanted a field below spec or metadata", origin)
    if (wrong := _unknown_part(path)) is not None:
        return Problem(dotted(wrong), f"there is no such field; {suggestion(wrong)}", origin)
    try:
        return Override(path, _from_command_line(_value(path, value), origin))
    except UnreadableError as error:
        return Problem(dotted(path), str(error), origin)


def location_of(path: str) -> Location:
    """Return the parts of a dotted path; numbers are positions in lists."""
    parts = [bracketed or plain for bracketed, plain in _PART.findall(path)]
    return tuple(int(part) if part.isdecimal() else part for part in parts) or ("",)


def all_applied(overrides: Sequence[Override], root: Node) -> tuple[Node, list[Problem]]:
    """Return a document with its values changed, and what could not be changed in it."""
    problems: list[Problem] = []
    for override in overrides:
        changed = _replaced(root, override.path, override)
        if isinstance(changed, Node):
            root = changed
        else:
            problems.append(changed)
    return root, problems


def _replaced(node: Node, path: Location, override: Override) -> Node | Problem:
    if not path:
        return override.value
    part, *rest = path
    if isinstance(part, int):
        return _with_item(node, part, tuple(rest), override)
    fields = node.value if isinstance(node.value, dict) else {}
    below = _replaced(fields.get(part, Node({}, node.line)), tuple(rest), override)
    if isinstance(below, Problem):
        return below
    return replace(node, value={**fields, part: below})


def _with_item(node: Node, index: int, rest: Location, override: Override) -> Node | Problem:
    items = node.value if isinstance(node.value, list) else []
    if index >= len(items):
        return Problem(
            dotted(override.path),
            f"there is no entry {index}, because the list has {len(items)} (the first one is 0)",
            override.value.origin,
        )
    below = _replaced(items[index], rest, override)
    if isinstance(below, Problem):
        return below
    return replace(node, value=[*items[:index], below, *items[index + 1 :]])


def _unknown_part(path: Location) -> Location | None:
    """Return the path up to the first part that the API does not have."""
    for length in range(1, len(path) + 1):
        if kind_at(UncensorTraining, path[:length]) is None:
            return path[:length]
    return None


def _value(path: Location, text: str) -> Node:
    """Read a value; a number becomes text where the field wants text."""
    node = value_of(text)
    kind = kind_at(UncensorTraining, path)
    wants_text = kind is not None and kind.is_text
    if wants_text and isinstance(node.value, bool | int | float):
        return replace(node, value=node.text)
    return node


def _from_command_line(node: Node, origin: str) -> Node:
    """Mark a value and everything below it with the override it comes from."""
    value = node.value
    if isinstance(value, dict):
        value = {key: _from_command_line(item, origin) for key, item in value.items()}
    elif isinstance(value, list):
        value = [_from_command_line(item, origin) for item in value]
    return Node(value, 0, node.text, origin)
