"""YAML and JSON text as nodes that know the line they stand on.

Built from parser events rather than by PyYAML's constructors, for three reasons: the line of every
value goes into messages; scalars follow YAML 1.2, so that `off` is a word and 2e-5 a number; and
input made to exhaust memory (nesting, aliases of aliases) ends with a message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

# An object that etcd takes has at most 1.5 MiB; a file with many of them is rarely longer.
MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_VALUES = 100_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Scalar = str | int | float | bool | None
Data = Scalar | list["Data"] | dict[str, "Data"]

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,299})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# A number written like 007 is octal to one reader and decimal to another, so it is text here.
_OCTAL = re.compile(r"[-+]?0[0-9]+")
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{_TAG}{name}" for name in ("int", "float", "bool", "null")}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class UnreadableError(ValueError):
    """Text that is not YAML, or more than this reader takes."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Node:
    """A value, where it stands, and how it was written."""

    value: Scalar | list[Node] | dict[str, Node]
    line: int
    """Line from 1; a value behind a key stands on the line of the key."""
    text: str = ""
    """A scalar as it was written, without its quotes."""
    origin: str = ""
    """The override that the value comes from; empty when it stands in the file."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong with the text itself."""

    path: tuple[str | int, ...]
    message: str
    line: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """One document of a stream."""

    root: Node | None
    """None when the text cannot be read."""
    line: int
    flaws: tuple[Flaw, ...] = ()


def decoded(content: bytes) -> str:
    """Return bytes as text.

    Raises:
        UnreadableError: they are too many, or not UTF-8, or no text at all.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableError(
            f"is {len(content):,} bytes long; wanted at most {MAX_BYTES:,}: no manifest is longer",
            1,
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"is not text in UTF-8 (byte 0x{content[error.start]:02x}): save it as UTF-8", line
        ) from error
    if found := _UNPRINTABLE.search(text):
        raise UnreadableError(
            f"holds the character U+{ord(found[0]):04X}, which no text file has: remove it, or "
            "check that this is the right file",
            text.count("\n", 0, found.start()) + 1,
        )
    return text


def parsed(text: str) -> Iterator[Parsed]:
    """Yield the documents of a stream; the last one is unreadable if the text goes wrong there."""
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if (document := builder.take(event)) is not None:
                yield document
                builder = _Builder()
    except yaml.MarkedYAMLError as error:
        line = _line_of(error, text)
        yield _unreadable(_explained(error, text, line), line)
    except UnreadableError as error:
        yield _unreadable(str(error), error.line)


def value_of(text: str) -> Node:
    """Return the value that an override on the command line gives.

    Raises:
        UnreadableError: it is not a YAML value.
    """
    document = next(parsed(text), Parsed(Node(None, 1), 1))
    if document.root is None or document.flaws:
        raise UnreadableError(document.flaws[0].message, 1)
    return document.root


def data_of(root: Node) -> Data:
    """Return a node as plain data.

    Raises:
        UnreadableError: its aliases unfold into too much.
    """
    left = MAX_VALUES

    def unfolded(node: Node, depth: int) -> Data:
        nonlocal left
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise UnreadableError(
                f"unfolds into more than {MAX_VALUES:,} values or {MAX_DEPTH} levels, because its "
                "aliases refer to other aliases: write the values out",
                node.line,
            )
        if isinstance(node.value, dict):
            return {key: unfolded(item, depth + 1) for key, item in node.value.items()}
        if isinstance(node.value, list):
            return [unfolded(item, depth + 1) for item in node.value]
        return node.value

    return unfolded(root, 0)


def node_at(root: Node, path: tuple[str | int, ...]) -> Node | None:
    """Return the node at a path, or None when nothing stands there."""
    node = root
    for part in path:
        below = _child(node, part)
        if below is None:
            return None
        node = below
    return node


def nearest(root: Node, path: tuple[str | int, ...]) -> Node:
    """Return the node at a path, or the one above where nothing stands there."""
    node = root
    for part in path:
        below = _child(node, part)
        if below is None:
            return node
        node = below
    return node


def is_plain_text(text: str) -> bool:
    """Tell whether every YAML reader takes the bare word for text."""
    return isinstance(_resolved(text), str) and not _OCTAL.fullmatch(text)


def _child(node: Node, part: str | int) -> Node | None:
    if isinstance(node.value, dict):
        return node.value.get(str(part))
    if isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
        return node.value[part]
    return None


def _resolved(text: str) -> Scalar:
    """Return what a bare word means, by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and not _OCTAL.fullmatch(text):
        number = float(text)
        # JSON has no infinity; 1e999 is nothing that a field could want.
        return number if math.isfinite(number) else text
    return text


def _unreadable(message: str, line: int) -> Parsed:
    return Parsed(None, line, (Flaw((), message, line),))


@dataclass(slots=True)
class _Frame:
    """A list or an object that is not complete yet."""

    value: list[Node] | dict[str, Node]
    line: int
    anchor: str | None
    key: str | None = None
    key_line: int = 0

    @property
    def part(self) -> str | int:
        """Where in it the next value goes."""
        return len(self.value) if isinstance(self.value, list) else self.key or ""


@dataclass(slots=True)
class _Builder:
    """Puts one document together, event by event."""

    frames: list[_Frame] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    root: Node | None = None

    def take(self, event: yaml.Event) -> Parsed | None:
        """Take one event; return the document when it is complete."""
        line = _line(event)
        match event:
            case yaml.ScalarEvent():
                self._add(_scalar(event, line), event.anchor)
            case yaml.AliasEvent():
                self._add(self._anchored(event.anchor, line), None)
            case yaml.MappingStartEvent():
                self._open({}, event, line)
            case yaml.SequenceStartEvent():
                self._open([], event, line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                frame = self.frames.pop()
                self._add(Node(frame.value, frame.line), frame.anchor)
            case yaml.DocumentEndEvent():
                root = self.root or Node(None, line)
                return Parsed(root, root.line, tuple(self.flaws))
        return None

    def _open(self, value: list[Node] | dict[str, Node], event: yaml.NodeEvent, line: int) -> None:
        if self._wants_key():
            raise UnreadableError("a key is a list or an object; wanted a word and a colon", line)
        if len(self.frames) >= MAX_DEPTH:
            raise UnreadableError(f"is nested deeper than {MAX_DEPTH} levels", line)
        _refuse_tag(getattr(event, "tag", None), {f"{_TAG}map", f"{_TAG}seq"}, line)
        self.frames.append(_Frame(value, line, event.anchor))

    def _wants_key(self) -> bool:
        return bool(self.frames) and (
            isinstance(self.frames[-1].value, dict) and self.frames[-1].key is None
        )

    def _anchored(self, anchor: str | None, line: int) -> Node:
        if anchor is None or anchor not in self.anchors:
            raise UnreadableError(f"there is no anchor &{anchor} above the alias *{anchor}", line)
        return self.anchors[anchor]

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.frames:
            self.root = node
        elif self._wants_key():
            self._begin_entry(node)
        else:
            self._end_entry(node)

    def _begin_entry(self, key: Node) -> None:
        if isinstance(key.value, list | dict):
            raise UnreadableError(
                "a key is a list or an object; wanted a word and a colon", key.line
            )
        self.frames[-1].key, self.frames[-1].key_line = key.text, key.line

    def _end_entry(self, node: Node) -> None:
        frame = self.frames[-1]
        if isinstance(frame.value, list):
            frame.value.append(node)
            return
        path = tuple(frame.part for frame in self.frames)
        key = frame.key or ""
        if key == "<<":
            self._complain(path[:-1], "merge keys (<<) are not supported: write the fields out")
        elif key in frame.value:
            first = frame.value[key].line
            self._complain(path, f"stands twice, first on line {first}: remove one of the two")
        else:
            frame.value[key] = replace(node, line=frame.key_line)
        frame.key = None

    def _complain(self, path: tuple[str | int, ...], message: str) -> None:
        self.flaws.append(Flaw(path, message, self.frames[-1].key_line))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _scalar(event: yaml.ScalarEvent, line: int) -> Node:
    text: str = event.value
    _refuse_tag(event.tag, {"!", f"{_TAG}str", *_PLAIN_TAGS}, line)
    is_bare = event.tag in _PLAIN_TAGS or (event.tag is None and event.implicit[0])
    return Node(_resolved(text) if is_bare else text, line, text)


def _refuse_tag(tag: str | None, known: set[str], line: int) -> None:
    if tag is not None and tag not in known:
        shown = tag.replace(_TAG, "!!")
        raise UnreadableError(f"the tag {shown} is not supported: write the value plainly", line)


# Begun and never ended: the beginning tells more than the end of the file.
_OPEN = ("while parsing a flow", "while scanning a quoted scalar")


def _line_of(error: yaml.MarkedYAMLError, text: str) -> int:
    is_open = (error.context or "").startswith(_OPEN) and error.context_mark is not None
    mark = error.context_mark if is_open else error.problem_mark
    last = len(text.splitlines()) or 1
    return min(mark.line + 1, last) if mark is not None else last


# What libyaml says, and what people did.
_HINTS = (
    ("mapping values are not allowed", "check the indentation, or put text with a colon in quotes"),
    ("did not find expected key", "the line is indented unlike those before it"),
    ("could not find expected ':'", "the line is not `name: value`"),
    ("did not find expected <document start>", "the line is not part of what stands before it"),
    ("unexpected end of stream", "a quote or a bracket is not closed"),
    ("did not find expected ',' or", "a bracket is not closed, or a comma is missing"),
    ("did not find expected node content", "a bracket is not closed, or a comma is one too many"),
    ("did not find expected '-' indicator", "an entry of the list is indented unlike the others"),
    ("block sequence entries are not allowed", "the list must begin on a line of its own"),
    ("cannot start any token", "text that begins with a special character needs quotes"),
    ("exceeded maximum nesting", f"it is nested deeper than {MAX_DEPTH} levels"),
    ("found undefined alias", "name an anchor above it"),
)


def _explained(error: yaml.MarkedYAMLError, text: str, line: int) -> str:
    said = error.problem or "unknown reason"
    lines = text.splitlines()
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in here[: len(here) - len(here.lstrip())]:
        return "cannot be read as YAML: the line begins with a tab; wanted blanks"
    hint = next((f" ({hint})" for part, hint in _HINTS if part in said), "")
    return f"cannot be read as YAML: {said}{hint}"
