"""From pydantic's JSON Schema to the structural schema that the API server accepts.

Pydantic writes JSON Schema 2020; a CustomResourceDefinition takes a part of OpenAPI 3.0 without
references, null types and unions. What has no equivalent is an error here, with its path: nothing
is passed on in the hope that the server understands it.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

from uncensor_operator.api.base import LIST_MAP_KEYS, LIST_TYPE, VALIDATIONS, ApiModel
from uncensor_operator.api.fields import alias_of, classes_of

Schema = dict[str, Any]

_INT32_MAX = 2**31 - 1
# Words that mean the same to JSON Schema and to the API server.
_KEPT = {
    "type",
    "description",
    "default",
    "enum",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "required",
    VALIDATIONS,
    LIST_TYPE,
    LIST_MAP_KEYS,
}
# The server prunes unknown fields, and has no use for a second name.
_DROPPED = {"title", "additionalProperties"}


class NotStructuralError(ValueError):
    """A type of the API that a CustomResourceDefinition cannot say."""


def structural_schema(model: type[ApiModel]) -> Schema:
    """Return the schema of a model, with the docstrings below its fields as descriptions.

    Raises:
        NotStructuralError: a type has no structural form, or refers to itself.
    """
    raw = model.model_json_schema(by_alias=True, mode="validation")
    definitions = raw.pop("$defs", {})
    for name, docs in _descriptions(model):
        properties = definitions.get(name, raw)["properties"]
        for alias, description in docs.items():
            properties[alias]["description"] = description
    return _converted(raw, definitions, model.__name__, ())


def _converted(raw: Schema, definitions: Schema, path: str, inside: tuple[str, ...]) -> Schema:
    """Return one node, with everything below it."""
    raw, inside = _inlined(raw, definitions, path, inside)
    schema: Schema = {}
    for key, value in raw.items():
        if key == "properties":
            schema[key] = {
                name: _converted(field, definitions, f"{path}.{name}", inside)
                for name, field in value.items()
            }
        elif key == "items":
            schema[key] = _converted(value, definitions, f"{path}[]", inside)
        elif key == "const":
            schema["enum"] = [value]
        elif key in _KEPT:
            schema[key] = value
        elif key not in _DROPPED:
            raise NotStructuralError(f"{path}: {key} has no place in a structural schema")
    return _finished(schema, path)


def _inlined(
    raw: Schema, definitions: Schema, path: str, inside: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """Replace a reference, or a choice between a type and null, by the type."""
    while True:
        if "anyOf" in raw:
            target = _not_null(raw["anyOf"], path)
            beside = {key: value for key, value in raw.items() if key != "anyOf"}
        elif "$ref" in raw:
            name = raw["$ref"].removeprefix("#/$defs/")
            if name in inside:
                raise NotStructuralError(f"{path}: {name} contains itself")
            target = definitions[name]
            inside = (*inside, name)
            beside = {key: value for key, value in raw.items() if key != "$ref"}
        else:
            return raw, inside
        raw = _merged(target, beside)


def _not_null(choices: list[Schema], path: str) -> Schema:
    others = [choice for choice in choices if choice.get("type") != "null"]
    if len(others) != 1:
        raise NotStructuralError(
            f"{path}: a union; wanted one optional field for each branch and a rule"
        )
    return others[0]


def _merged(target: Schema, beside: Schema) -> Schema:
    """What stands beside a reference wins, but the rules of both apply."""
    merged = {**target, **beside}
    rules = [*target.get(VALIDATIONS, ()), *beside.get(VALIDATIONS, ())]
    if rules:
        merged[VALIDATIONS] = rules
    return merged


def _finished(schema: Schema, path: str) -> Schema:
    if "type" not in schema:
        raise NotStructuralError(f"{path}: has no type")
    if schema["type"] == "integer":
        schema["format"] = (
            "int32" if schema.get("maximum", _INT32_MAX + 1) <= _INT32_MAX else "int64"
        )
    if "default" in schema:
        default = _without_nulls(schema.pop("default"))
        # The server prunes nulls before it fills in defaults: absent is our null.
        if default is not None:
            schema["default"] = default
    # Description first and rules last, which is how people read it.
    order = {"description": -1, "properties": 1, "items": 1, "required": 2, VALIDATIONS: 3}
    return dict(sorted(schema.items(), key=lambda item: order.get(item[0], 0)))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def _descriptions(model: type[ApiModel]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield every model below one, by name, with the description of each field."""
    for one in classes_of(model):
        written: dict[str, str] = {}
        for parent in reversed(one.__mro__):
            if issubclass(parent, ApiModel):
                written |= _docstrings(inspect.getfile(parent)).get(parent.__name__, {})
        yield (
            one.__name__,
            {
                alias_of(name, field): written[name]
                for name, field in one.model_fields.items()
                if name in written
            },
        )


@cache
def _docstrings(path: str) -> dict[str, dict[str, str]]:
    """Return the docstrings below the fields of every class in a file.

    Pydantic can collect them too, but does so at import, which would cost the command line a
    fifth of a second.
    """
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    return {
        node.name: dict(_field_docstrings(node))
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def _field_docstrings(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, " ".join(text.split())
