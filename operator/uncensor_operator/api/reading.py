"""Reads manifests from files, folders and standard input, with everything that is wrong in them.

Nothing here raises for bad input: whoever calls gets each document with its problems.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from uncensor_operator import names
from uncensor_operator.api.documents import (
    MAX_BYTES,
    Node,
    Parsed,
    UnreadableError,
    data_of,
    decoded,
    nearest,
    parsed,
)
from uncensor_operator.api.fields import Kind, without_nulls
from uncensor_operator.api.overrides import Override, all_applied, location_of, override_of
from uncensor_operator.api.problems import Problem, close_to, dotted, problems_of, shown
from uncensor_operator.api.v1alpha1 import UncensorTraining

STDIN = "-"
STDIN_NAME = "<stdin>"
_SUFFIXES = (".yaml", ".yml", ".json")
# A file of a folder that holds neither is of no interest, and need not even be YAML.
_MARKS = (names.KIND.encode(), f"{names.GROUP}/".encode())


@dataclass(frozen=True, slots=True)
class Document:
    """One manifest, or the reason why there is none."""

    file: str
    """File as the user named it; `<stdin>` for standard input."""
    line: int
    """Line that the document begins on, from 1; 0 when there is none."""
    training: UncensorTraining | None
    """None when there are problems."""
    problems: tuple[Problem, ...] = ()
    root: Node | None = field(default=None, repr=False, compare=False)

    def located(self, problem: Problem) -> Problem:
        """Return a problem found later with the file and the line of its field."""
        if self.root is None:
            return replace(problem, file=self.file, line=self.line)
        node = nearest(self.root, location_of(problem.path))
        return replace(problem, file=node.origin or self.file, line=node.line)


@dataclass(frozen=True, slots=True)
class _File:
    """The content of one file, or why there is none."""

    name: str
    content: bytes = b""
    problem: str = ""
    is_named: bool = True
    """False for a file found in a folder: it may hold other things."""


def read(targets: Sequence[str], overrides: Sequence[str] = ()) -> list[Document]:
    """Read every manifest in files, folders (recursively) or `-`, in that order.

    Args:
        targets: files of any name; folders, of which *.yaml, *.yml and *.json are read; `-`.
        overrides: `path=value`, applied to every manifest before it is judged.
    """
    wanted = [override_of(text) for text in overrides]
    usable = [one for one in wanted if isinstance(one, Override)]
    documents = [Document(one.file, 0, None, (one,)) for one in wanted if isinstance(one, Problem)]
    seen: set[str] = set()
    for target in targets:
        found = [one for file in _files(target, seen) for one in _documents(file, usable)]
        if not found and os.path.isdir(target):
            found = [
                _nothing(target, f"holds no {names.KIND} in its *.yaml, *.yml or *.json files")
            ]
        documents += found
    return _without_namesakes(documents)


# --- Files -----------------------------------------------------------------------------------


def _files(target: str, seen: set[str]) -> Iterator[_File]:
    """Yield the files of a target, each file once in all."""
    if target == STDIN:
        if _is_new(STDIN_NAME, seen):
            yield _content(STDIN_NAME, is_named=True)
    elif os.path.isdir(target):
        yield from _below(target, seen)
    elif _is_new(os.path.realpath(target), seen):
        yield _content(target, is_named=True)


def _below(folder: str, seen: set[str]) -> Iterator[_File]:
    """Yield the files of a folder by name; what is hidden stays out (.git, .venv)."""
    closed: list[OSError] = []
    for where, folders, files in os.walk(folder, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(where, name)
            is_manifest = name.endswith(_SUFFIXES) and not name.startswith(".")
            if is_manifest and _is_new(os.path.realpath(path), seen):
                yield _content(path, is_named=False)
    for error in closed:
        yield _File(str(error.filename), problem=f"cannot be read: {error.strerror}")


def _is_new(resolved: str, seen: set[str]) -> bool:
    is_new = resolved not in seen
    seen.add(resolved)
    return is_new


def _content(name: str, *, is_named: bool) -> _File:
    try:
        if name == STDIN_NAME:
            return _File(name, sys.stdin.buffer.read(MAX_BYTES + 1))
        with open(name, "rb") as file:
            return _File(name, file.read(MAX_BYTES + 1), is_named=is_named)
    except FileNotFoundError:
        return _File(name, problem="there is no such file or folder: check the name")
    except OSError as error:
        return _File(name, problem=f"cannot be read: {error.strerror}")


# --- Documents -------------------------------------------------------------------------------


def _documents(file: _File, overrides: Sequence[Override]) -> list[Document]:
    """Return the manifests of a file."""
    if file.problem:
        return [_nothing(file.name, file.problem)]
    if not file.is_named and not any(mark in file.content for mark in _MARKS):
        return []
    try:
        streams = list(_items(parsed(decoded(file.content))))
    except UnreadableError as error:
        return [_nothing(file.name, str(error), error.line)]
    ours = [one for one in streams if _is_ours(one, is_named=file.is_named)]
    if not ours and file.is_named:
        return [_nothing(file.name, _absence(streams))]
    return [_document(file.name, one, overrides) for one in ours]


def _items(streams: Iterable[Parsed]) -> Iterator[Parsed]:
    """Take lists apart, as `kubectl get -o yaml` prints them."""
    for one in streams:
        items = _field(one.root, "items")
        if _word(one.root, "kind") in {"List", names.LIST_KIND} and isinstance(items, list):
            for number, item in enumerate(items):
                flaws = [
                    replace(flaw, path=flaw.path[2:])
                    for flaw in one.flaws
                    if flaw.path[:2] == ("items", number)
                ]
                yield Parsed(item, item.line, tuple(flaws))
        else:
            yield one


def _is_ours(document: Parsed, *, is_named: bool) -> bool:
    """Tell whether a document is, or was meant to be, a manifest of ours."""
    root = document.root
    if root is None:
        return True
    kind, version = _word(root, "kind"), _word(root, "apiVersion")
    if kind == names.KIND or version.startswith(f"{names.GROUP}/"):
        return True
    if not is_named or root.value is None:
        return False
    return not kind or close_to(kind, [names.KIND]) is not None


def _absence(streams: Sequence[Parsed]) -> str:
    """Say what a file holds instead of a manifest."""
    kinds = [_word(one.root, "kind") for one in streams if one.root and one.root.value is not None]
    if not kinds:
        return f"is empty; wanted an {names.KIND}"
    return f"holds no {names.KIND}, but: {', '.join(sorted(set(kinds)))}"


def _document(file: str, document: Parsed, overrides: Sequence[Override]) -> Document:
    flaws = [Problem(dotted(flaw.path), flaw.message, file, flaw.line) for flaw in document.flaws]
    if document.root is None:
        return Document(file, document.line, None, tuple(flaws))
    root, failed = all_applied(overrides, document.root)
    training, found = _judged(root, file)
    problems = sorted([*flaws, *failed, *found], key=lambda problem: problem.line)
    return Document(file, document.line, None if problems else training, tuple(problems), root)


def _judged(root: Node, file: str) -> tuple[UncensorTraining | None, tuple[Problem, ...]]:
    if not isinstance(root.value, dict):
        wanted = "wanted an object with apiVersion, kind, metadata and spec"
        return None, (Problem("", f"found {shown(root)}; {wanted}", file, root.line),)
    try:
        data = without_nulls(data_of(root), Kind(model=UncensorTraining))
        # Through JSON, because strict reading of Python objects refuses words for enums.
        training = UncensorTraining.model_validate_json(
            json.dumps(data), strict=True, by_alias=True, by_name=False
        )
    except UnreadableError as error:
        return None, (Problem("", str(error), file, error.line),)
    except ValidationError as error:
        return None, problems_of(error, root, file)
    return training, ()


def _nothing(file: str, message: str, line: int = 0) -> Document:
    return Document(file, line, None, (Problem("", message, file, line),))


def _field(root: Node | None, name: str) -> object:
    if root is None or not isinstance(root.value, dict) or name not in root.value:
        return None
    return root.value[name].value


def _word(root: Node | None, name: str) -> str:
    value = _field(root, name)
    return value if isinstance(value, str) else ""


def _without_namesakes(documents: Sequence[Document]) -> list[Document]:
    """Two runs of one name would share a folder, and a cluster would keep the last one."""
    first: dict[tuple[str, str], Document] = {}
    judged: list[Document] = []
    for document in documents:
        one = document
        if document.training is not None:
            metadata = document.training.metadata
            earlier = first.setdefault((metadata.namespace or "", metadata.name), document)
            if earlier is not document:
                one = _namesake(document, earlier)
        judged.append(one)
    return judged


def _namesake(document: Document, earlier: Document) -> Document:
    problem = Problem(
        "metadata.name",
        f"the manifest at {earlier.file}:{earlier.line} has the same name; wanted another one",
    )
    return replace(document, training=None, problems=(document.located(problem),))
