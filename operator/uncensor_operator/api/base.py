"""The building blocks of the API types: the strict model, CEL rules with twins, string kinds.

A rule that joins fields is written once, as a CEL expression for the API server and as a Python
function for everybody else: the server never sees a pydantic validator, and pydantic never sees
CEL. `tests/api` runs both on the same manifests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"
LIST_MAP_KEYS = "x-kubernetes-list-map-keys"

# The type of the errors that broken rules and list types raise, for whoever words them.
BROKEN_RULES = "broken_rules"
DUPLICATES = "duplicates"


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression, the sentence shown when it is false, and the same test in Python.

    Put it into `Annotated[...]` for one field, or into `rules` of a model for several.
    """

    expression: str
    message: str
    check: Callable[[Any], bool]
    at: str = ""
    """Name of the field below that the sentence is about; empty means the value itself."""

    def as_validation(self) -> dict[str, str]:
        """Return the entry of `x-kubernetes-validations`."""
        entry = {"rule": self.expression, "message": self.message}
        if self.at:
            entry["fieldPath"] = f".{self.at}"
        return entry

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def followed[T](value: T) -> T:
            raise_broken((self,), value)
            return value

        return core_schema.no_info_after_validator_function(followed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        shown = dict(handler(schema))
        shown[VALIDATIONS] = [*shown.get(VALIDATIONS, ()), self.as_validation()]
        return shown
