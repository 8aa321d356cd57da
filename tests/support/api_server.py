"""The part of an API server that judges custom resources: defaults, schema, lists, CEL rules.

A stand-in for tests of the generated CRD. Its verdicts on the tables in `support.manifests` and
`support.bad_manifests` were compared once with those of the API server's own Go code
(k8s.io/apiextensions-apiserver 0.34).
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import re2

cel = pytest.importorskip("cel", reason="needs common-expression-language (extra dev)")

_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
_ABSENT = object()


class ApiServer:
    """Judges objects by the schema of a CRD."""

    def __init__(self, crd: dict[str, Any]) -> None:
        self.schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        self.rules: dict[str, Any] = {}

    def defaulted(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Return the object as the server stores it: without nulls, with defaults."""
        return _defaulted(copy.deepcopy(manifest), self.schema)

    def refusals(self, manifest: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
        """Return why the server refuses an object, or a change of one; empty if it does not."""
        found = list(_shape(self.defaulted(manifest), self.schema, ""))
        if found:
            # Rules about values of the wrong type would only fail in confusing ways.
            return found
        before = _ABSENT if old is None else self.defaulted(old)
        return list(self._broken(self.defaulted(manifest), before, self.schema, ""))

    def _broken(self, value: Any, old: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
        for rule in schema.get("x-kubernetes-validations", ()):
            if "oldSelf" in rule["rule"] and old is _ABSENT:
                continue
            if not self._holds(rule["rule"], value, old):
                yield f"{path}{rule.get('fieldPath', '')}: {rule['message']}"
        for name, field in schema.get("properties", {}).items():
            if name in value:
                before = old.get(name, _ABSENT) if isinstance(old, dict) else _ABSENT
                yield from self._broken(value[name], before, field, f"{path}.{name}")
        if schema["type"] == "array":
            for index, item in enumerate(value):
                yield from self._broken(item, _ABSENT, schema["items"], f"{path}[{index}]")

    def _holds(self, rule: str, value: Any, old: Any) -> bool:
        if rule not in self.rules:
            self.rules[rule] = cel.compile(rule)
        variables = {"self": value} if old is _ABSENT else {"self": value, "oldSelf": old}
        try:
            return self.rules[rule].execute(variables) is True
        except (ValueError, RuntimeError, TypeError):
            # The server takes a rule that fails for a broken one.
            return False


def _defaulted(value: Any, schema: dict[str, Any]) -> Any:
    if schema["type"] == "array" and isinstance(value, list):
        return [_defaulted(item, schema["items"]) for item in value]
    if schema["type"] != "object" or not isinstance(value, dict):
        return value
    fields = schema.get("properties", {})
    result = {key: item for key, item in value.items() if item is not None}
    for name, field in fields.items():
        if name not in result and "default" in field:
            result[name] = copy.deepcopy(field["default"])
        if name in result:
            result[name] = _defaulted(result[name], field)
    return result


def _shape(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    wanted = _TYPES[schema["type"]]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        yield f"{path}: wanted {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: wanted one of {schema['enum']}"
    check = {"object": _object, "array": _array, "string": _string, "integer": _integer}
    if schema["type"] in check:
        yield from check[schema["type"]](value, schema, path)


def _object(value: dict[str, Any], schema: dict[str, Any], path: str) -> Iterator[str]:
    # The schema of metadata is the server's own.
    fields = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name}: required"
    for name, item in value.items():
        if name in fields:
            yield from _shape(item, fields[name], f"{path}.{name}")
        elif path != ".metadata":
            yield f"{path}.{name}: unknown field"


def _array(value: list[Any], schema: dict[str, Any], path: str) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema["maxItems"]:
        yield f"{path}: wrong number of items"
    for index, item in enumerate(value):
        yield from _shape(item, schema["items"], f"{path}[{index}]")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    identities = [
        str([item.get(key) for key in keys] if keys else item)
        for item in value
        if not keys or isinstance(item, dict)
    ]
    if "x-kubernetes-list-type" in schema and len(set(identities)) < len(identities):
        yield f"{path}: duplicate"


def _string(value: str, schema: dict[str, Any], path: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{path}: wrong length"
    if "pattern" in schema and not re2.search(schema["pattern"], value):
        yield f"{path}: does not match"


def _integer(value: int, schema: dict[str, Any], path: str) -> Iterator[str]:
    limit = 2**31 if schema["format"] == "int32" else 2**63
    if not schema.get("minimum", -limit) <= value <= schema.get("maximum", limit - 1):
        yield f"{path}: out of bounds"
