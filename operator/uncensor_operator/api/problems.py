"""Problems of a manifest, as sentences: where, what was found, what was wanted, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from uncensor_operator.api.base import BROKEN_RULES, DUPLICATE
from uncensor_operator.api.documents import Node, nearest, node_at
from uncensor_operator.api.fields import Kind, kind_at, kinds_of, paths_of
from uncensor_operator.api.kinds import wanted_by
from uncensor_operator.api.v1alpha1 import Spec, UncensorTraining

Location = tuple[str | int, ...]

_LONGEST_SHOWN = 60
# Dots in the longest path that is suggested for a field in the wrong place.
_DEEPEST_SUGGESTED = 2
# Letters from which on a beginning stands for the whole word.
_TELLING = 4
# Names of fields that a message lists before it breaks off.
_MOST_LISTED = 8


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a manifest."""

    path: str
    """Field, such as `spec.training.epochs`; empty when the problem is the file."""
    message: str
    """What was found, what was wanted, what to do."""
    file: str = ""
    """File as the user named it, or the override that the value comes from."""
    line: int = 0
    """Line from 1; 0 when the problem has none."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(part for part in (where, self.path, self.message) if part)


def problems_of(error: ValidationError, root: Node, file: str) -> tuple[Problem, ...]:
    """Word everything that pydantic found, in the order of the lines."""
    found = [
        _located(location, message, root, file)
        for details in error.errors(include_url=False)
        for location, message in _worded(details, root)
    ]
    return tuple(sorted(found, key=lambda problem: problem.line))


def dotted(location: Location) -> str:
    """Return a path as people write it: `spec.datasets[0].name`."""
    path = ""
    for part in location:
        is_plain = isinstance(part, str) and part.replace("-", "").replace("_", "").isalnum()
        path += f".{part}" if is_plain else f"[{part}]"
    return path.removeprefix(".")


def suggestion(location: Location) -> str:
    """Return what to write instead of a field that does not exist."""
    *above, name = location
    here = kind_at(UncensorTraining, tuple(above))
    known = list(kinds_of(here.model)) if here is not None and here.model is not None else []
    if close := close_to(str(name), known):
        return f"did you mean {dotted((*above, close))}?"
    if elsewhere := _elsewhere(str(name)):
        return f"did you mean {elsewhere}?"
    return f"known here: {', '.join(known)}" if known else "no field can stand here"


def _elsewhere(name: str) -> str | None:
    """Return the path of a field of that name; deep ones stand for something else, mostly."""
    found = [path for path in _shallow_paths() if _plain(path.rpartition(".")[2]) == _plain(name)]
    return min(found, key=len) if found else None


def close_to(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant; case and dashes do not count."""
    plain = {_plain(one): one for one in known}
    begun = [one for one in plain if len(word) >= _TELLING and one.startswith(_plain(word))]
    if len(begun) == 1:
        return plain[begun[0]]
    matches = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.7)
    return plain[matches[0]] if matches else None


def shown(node: Node) -> str:
    """Return a value as a sentence names it."""
    match node.value:
        case dict() as fields:
            words = f"an object with {_listed(list(fields))}" if fields else "an empty object"
        case list() as items:
            words = f"a list of {len(items)}" if items else "an empty list"
        case None:
            words = "nothing"
        case str() as text:
            words = f'the text "{_cut(text)}"'
        case bool() as flag:
            words = "true" if flag else "false"
        case _:
            words = f"the number {_cut(node.text)}"
    return words


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _listed(words: Sequence[str], last: str = "and") -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


@cache
def _shallow_paths() -> tuple[str, ...]:
    spec = (path for path in paths_of(Spec, "spec") if path.count(".") <= _DEEPEST_SUGGESTED)
    return ("metadata.name", "metadata.labels", *spec)


def _located(location: Location, message: str, root: Node, file: str) -> Problem:
    node = nearest(root, location)
    if node.origin:
        return Problem(dotted(location), message, file=node.origin)
    return Problem(dotted(location), message, file, node.line)


# --- One function for each kind of error -----------------------------------------------------


def _worded(details: ErrorDetails, root: Node) -> list[tuple[Location, str]]:
    """Return where the problems of one pydantic error are, and what they are."""
    location = details["loc"]
    context: dict[str, Any] = details.get("ctx", {})
    if details["type"] == BROKEN_RULES:
        return [
            _broken((*location, *at.split(".")) if at else location, message, root)
            for at, message in context["rules"]
        ]
    if details["type"] == DUPLICATE:
        return [_duplicate(location, context)]
    node = node_at(root, location)
    if node is None or details["type"] == "missing":
        return [(location, _missing(location))]
    if details["type"] == "too_short" and _is_long_enough(node, context):
        return []
    word = _WORDS.get(details["type"])
    message = word(node, context, location) if word else f"found {shown(node)}; {details['msg']}"
    return [(location, message)]


def _is_long_enough(node: Node, context: dict[str, Any]) -> bool:
    """Pydantic leaves bad entries out before it counts; what is wrong with them is told anyway."""
    return isinstance(node.value, list) and len(node.value) >= context["min_length"]


def _broken(location: Location, message: str, root: Node) -> tuple[Location, str]:
    node = node_at(root, location)
    return location, message if node is None else f"found {shown(node)}; {message}"


def _duplicate(location: Location, context: dict[str, Any]) -> tuple[Location, str]:
    key = context["key"]
    where: Location = (*location, context["index"], *([key] if key else []))
    each = f"each {key}" if key else "each entry"
    return where, f'found "{context["value"]}" a second time; wanted {each} once'


def _missing(location: Location) -> str:
    kind = kind_at(UncensorTraining, location) or Kind()
    return f"is missing; wanted {_wanted(kind)}: add it"


def _wanted(kind: Kind) -> str:
    if kind.model is not None:
        known = list(kinds_of(kind.model))
        shown_first = [*known[:_MOST_LISTED], "others"] if len(known) > _MOST_LISTED else known
        return f"an object with {_listed(shown_first, 'or')}"
    if kind.items is not None:
        return "an object (name: value)" if kind.is_map else "a list"
    return "text" if kind.is_text else "a number"


def _unknown(node: Node, context: dict[str, Any], location: Location) -> str:
    return f"there is no such field; {suggestion(location)}"


def _no_text(node: Node, context: dict[str, Any], location: Location) -> str:
    name = "-" if isinstance(location[-1], int) else f"{location[-1]}:"
    if isinstance(node.value, bool | int | float):
        return f'found {shown(node)}; wanted text: put it in quotes, as in {name} "{node.text}"'
    if isinstance(node.value, list) and all(isinstance(item.value, str) for item in node.value):
        joined = ",".join(item.text for item in node.value)
        return f'found {shown(node)}; wanted one text, as in {name} "{joined}"'
    return f"found {shown(node)}; wanted text"


def _no_choice(node: Node, context: dict[str, Any], location: Location) -> str:
    expected = str(context["expected"])
    if expected == "True":
        return f"found {shown(node)}; wanted true: to choose another place, leave this field out"
    close = close_to(node.text, expected.replace("'", "").replace(" or ", ", ").split(", "))
    hint = f' (did you mean "{close}"?)' if close else ""
    choices = expected.replace("'", '"')
    return f"found {shown(node)}; wanted {choices}{hint}"


def _no_integer(node: Node, context: dict[str, Any], location: Location) -> str:
    hint = ": remove the quotes" if isinstance(node.value, str) and node.text.isdigit() else ""
    return f"found {shown(node)}; wanted a whole number{hint}"


def _no_boolean(node: Node, context: dict[str, Any], location: Location) -> str:
    hint = ": remove the quotes" if node.text in {"true", "false"} else ""
    return f"found {shown(node)}; wanted true or false{hint}"


def _bound(words: str, limit: str) -> _Wording:
    def out_of_bounds(node: Node, context: dict[str, Any], location: Location) -> str:
        return f"found {shown(node)}; wanted {words} {context[limit]}"

    return out_of_bounds


def _no_match(node: Node, context: dict[str, Any], location: Location) -> str:
    try:
        wanted = wanted_by(context["pattern"])
    except KeyError:
        wanted = f"text that matches {context['pattern']}"
    return f"found {shown(node)}; wanted {wanted}"


def _text_too_long(node: Node, context: dict[str, Any], location: Location) -> str:
    limit = context["max_length"]
    return f"found {shown(node)} of {len(node.text)} characters; wanted at most {limit}"


def _empty(node: Node, context: dict[str, Any], location: Location) -> str:
    return f"found {shown(node)}; wanted at least {context['min_length']}"


def _list_too_long(node: Node, context: dict[str, Any], location: Location) -> str:
    return f"found {shown(node)}; wanted at most {context['max_length']}"


def _no_object(node: Node, context: dict[str, Any], location: Location) -> str:
    kind = kind_at(UncensorTraining, location) or Kind()
    hint = ""
    if node.text and kind.model is not None and node.text in kinds_of(kind.model):
        hint = f", as in {location[-1]}: {{{node.text}: true}}"
    return f"found {shown(node)}; wanted {_wanted(kind)}{hint}"


def _no_list(node: Node, context: dict[str, Any], location: Location) -> str:
    hint = f", as in {location[-1]}: [{_cut(node.text)}]" if node.text else ""
    return f"found {shown(node)}; wanted a list{hint}"


_Wording = Callable[[Node, dict[str, Any], Location], str]
_WORDS: dict[str, _Wording] = {
    "extra_forbidden": _unknown,
    "string_type": _no_text,
    "literal_error": _no_choice,
    "enum": _no_choice,
    "int_type": _no_integer,
    "int_from_float": _no_integer,
    "int_parsing_size": _no_integer,
    "bool_type": _no_boolean,
    "greater_than_equal": _bound("at least", "ge"),
    "less_than_equal": _bound("at most", "le"),
    "string_pattern_mismatch": _no_match,
    "string_too_long": _text_too_long,
    "string_too_short": _empty,
    "too_short": _empty,
    "too_long": _list_too_long,
    "tuple_type": _no_list,
    "model_type": _no_object,
    "model_attributes_type": _no_object,
    "dict_type": _no_object,
}
