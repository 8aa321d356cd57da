"""The building blocks of the API types: the strict model, CEL rules with twins, list types.

A rule that joins fields is written once, as a CEL expression for the API server and as a Python
function for everybody else: the server never sees a pydantic validator, and pydantic never sees
CEL. `tests/api` runs both on the same manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"

# The type of the errors that broken rules and list types raise, for whoever words them.
BROKEN_RULES = "broken_rules"
DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression, the sentence shown when it is false, and the same test in Python.

    Put it into `Annotated[...]` for one field, or into `rules` of a model for several.
    """

    expression: str
    message: str
    check: Callable[[Any], bool] | None
    """None for a rule about a change (`oldSelf`): only the server knows the old object."""
    at: str = ""
    """Name of the field below that the sentence is about; empty means the value itself."""

    def as_validation(self) -> dict[str, str]:
        """Return the entry of `x-kubernetes-validations`."""
        entry = {"rule": self.expression, "message": self.message}
        if self.at:
            entry["fieldPath"] = f".{self.at}"
        return entry

    def is_broken_by(self, value: object) -> bool:
        """Tell whether a value breaks the rule, as far as one value can."""
        return self.check is not None and not self.check(value)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def followed(value: object) -> object:
            raise_broken((self,), value)
            return value

        return core_schema.no_info_after_validator_function(followed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        shown = dict(handler(schema))
        shown[VALIDATIONS] = [*shown.get(VALIDATIONS, ()), self.as_validation()]
        return shown


def raise_broken(rules: Sequence[Rule], value: object) -> None:
    """Raise one error that carries every rule that a value breaks, as (at, message) pairs."""
    broken = [(rule.at, rule.message) for rule in rules if rule.is_broken_by(value)]
    if broken:
        raise PydanticCustomError(
            BROKEN_RULES, "{count} rules are broken", {"count": len(broken), "rules": broken}
        )


class ApiModel(BaseModel):
    """Strict and immutable: an unknown field or a wrong type is an error, not a guess."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        # Python code writes snake_case; manifests are read with `by_name=False`.
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        defer_build=True,
    )

    # Rules about several fields; a subclass that sets its own replaces those of its parent.
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _follow_the_rules(self) -> Self:
        raise_broken(type(self).rules, self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        shown = handler(schema)
        if cls.rules:
            # A model is shown as a reference; the rules belong to what it refers to.
            handler.resolve_ref_schema(shown)[VALIDATIONS] = [
                rule.as_validation() for rule in cls.rules
            ]
        return shown


@dataclass(frozen=True, slots=True)
class ListMap:
    """Marks a list of objects in which one field tells the items apart.

    Bounds stand before it in `Annotated`: pydantic does not show those behind a function.
    """

    key: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def without_duplicates(items: Sequence[BaseModel]) -> Sequence[BaseModel]:
            _refuse_duplicates([getattr(item, self.key) for item in items], self.key)
            return items

        return core_schema.no_info_after_validator_function(without_duplicates, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), LIST_TYPE: "map", LIST_MAP_KEYS: [self.key]}


@dataclass(frozen=True, slots=True)
class ListSet:
    """Marks a list of words in which none may stand twice."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def without_duplicates(items: Sequence[object]) -> Sequence[object]:
            _refuse_duplicates(items, "")
            return items

        return core_schema.no_info_after_validator_function(without_duplicates, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), LIST_TYPE: "set"}


def _refuse_duplicates(values: Sequence[object], key: str) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            _raise_duplicate(index, key, value)


def _raise_duplicate(index: int, key: str, value: object) -> NoReturn:
    raise PydanticCustomError(
        DUPLICATE, "{value} stands twice", {"index": index, "key": key, "value": str(value)}
    )


def one_of(*fields: str) -> Rule:
    """Return the rule that exactly one of several optional fields is set."""
    names = [to_camel(field) for field in fields]
    # A sum, because the server estimates `[...].exists_one()` as if the list had no end.
    number = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
    listed = ", ".join(names[:-1]) + f" or {names[-1]}"

    def exactly_one(value: object) -> bool:
        return sum(getattr(value, field) is not None for field in fields) == 1

    return Rule(f"{number} == 1", f"wanted exactly one of {listed}", exactly_one)


def at_least_one_of(*fields: str) -> Rule:
    """Return the rule that one or more of several optional fields are set."""
    names = [to_camel(field) for field in fields]
    present = " || ".join(f"has(self.{name})" for name in names)
    listed = ", ".join(names[:-1]) + f" or {names[-1]}"

    def one_or_more(value: object) -> bool:
        return any(getattr(value, field) is not None for field in fields)

    return Rule(
        present, f"wanted at least one of {listed}; or leave the whole field out", one_or_more
    )


def unchanged(path: str) -> str:
    """Return the CEL test that an optional field is as it was; `path` is like `spec.probe`."""
    both_have = f"has(self.{path}) == has(oldSelf.{path})"
    return f"{both_have} && (!has(self.{path}) || self.{path} == oldSelf.{path})"
