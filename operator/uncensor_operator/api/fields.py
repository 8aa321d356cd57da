"""The tree of API fields: which fields stand at a path, and what kind of value each wants.

Readers of manifests ask here, to suggest the right name for a wrong one and to know what an
override on the command line means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from uncensor_operator.api.base import ApiModel


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value is made of."""

    model: type[ApiModel] | None = None
    """The model of an object with known fields."""
    items: Kind | None = None
    """What a list, or a map with free keys, consists of."""
    is_map: bool = False
    is_text: bool = False


def alias_of(name: str, field: FieldInfo) -> str:
    """Return the name of a field in manifests."""
    return field.alias or to_camel(name)


@cache
def kinds_of(model: type[ApiModel]) -> dict[str, Kind]:
    """Return the fields of a model, by their names in manifests."""
    return {
        alias_of(name, field): _kind(field.annotation) for name, field in model.model_fields.items()
    }


def classes_of(model: type[ApiModel]) -> list[type[ApiModel]]:
    """Return a model and every model below it, each once."""
    found = [model]
    for one in found:
        for kind in kinds_of(one).values():
            below = kind.items.model if kind.items is not None else kind.model
            if below is not None and below not in found:
                found.append(below)
    return found


def paths_of(model: type[ApiModel], above: str = "") -> Iterator[str]:
    """Yield every path below a model, dotted; items of lists are left out."""
    for name, kind in kinds_of(model).items():
        path = f"{above}.{name}" if above else name
        yield path
        if kind.model is not None:
            yield from paths_of(kind.model, path)


def kind_at(model: type[ApiModel], path: tuple[str | int, ...]) -> Kind | None:
    """Return what stands at a path, or None where the API has nothing."""
    kind = Kind(model=model)
    for part in path:
        below = _below(kind, part)
        if below is None:
            return None
        kind = below
    return kind


def _below(kind: Kind, part: str | int) -> Kind | None:
    if kind.items is not None:
        return kind.items if kind.is_map or isinstance(part, int) else None
    if kind.model is None or isinstance(part, int):
        return None
    return kinds_of(kind.model).get(part)


def _kind(annotation: Any) -> Kind:
    """Look through Annotated and `| None`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin in {Union, UnionType}:
        return _kind(next(one for one in arguments if one is not type(None)))
    if origin is tuple:
        return Kind(items=_kind(arguments[0]))
    if origin is dict:
        return Kind(items=_kind(arguments[1]), is_map=True)
    is_words = origin is Literal and isinstance(arguments[0], str)
    return _kind_of_class(annotation) if isinstance(annotation, type) else Kind(is_text=is_words)


def _kind_of_class(one: type) -> Kind:
    if issubclass(one, ApiModel):
        return Kind(model=one)
    return Kind(is_text=issubclass(one, str))


def without_nulls(value: Any, kind: Kind) -> Any:
    """Leave out known fields that are null, as the API server does: null means absent."""
    if isinstance(value, dict) and kind.model is not None:
        known = kinds_of(kind.model)
        return {
            name: without_nulls(item, known.get(name, Kind()))
            for name, item in value.items()
            if item is not None or name not in known
        }
    if isinstance(value, list) and kind.items is not None:
        return [without_nulls(item, kind.items) for item in value]
    return value
