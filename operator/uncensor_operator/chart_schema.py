"""The part of the chart's values.schema.json that says what `settings` may hold.

It is generated from the types in `settings.py`: helm refuses what the operator would refuse.

    python -m uncensor_operator.chart_schema [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from uncensor_operator.settings import Settings

FILE = Path("charts/uncensor-operator/values.schema.json")
# The chart fills these two: the namespaces are a value of their own, as the roles depend on them.
GIVEN_BY_THE_CHART = "namespaces"
IMAGE_WITH_A_DEFAULT = "trainerImage"


def settings_definitions() -> dict[str, Any]:
    """Return JSON Schema definitions, `Settings` among them, for the chart's values."""
    schema = Settings.model_json_schema(by_alias=True, mode="validation")
    definitions: dict[str, Any] = schema.pop("$defs")
    del schema["properties"][GIVEN_BY_THE_CHART]
    image = json.loads(json.dumps(definitions["Image"]))
    image.pop("required")
    image["properties"]["reference"].pop("minLength")
    definitions["ImageWithDefault"] = image
    schema["properties"][IMAGE_WITH_A_DEFAULT]["$ref"] = "#/$defs/ImageWithDefault"
    definitions["Settings"] = schema
    return {name: _without_titles(one) for name, one in sorted(definitions.items())}


def _without_titles(schema: Any) -> Any:
    """Drop pydantic's titles, which repeat the names; a property may be called title."""
    if isinstance(schema, list):
        return [_without_titles(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def renewed(text: str) -> str:
    """Return the schema file with the definitions of these settings types."""
    schema = json.loads(text)
    schema["$defs"] = settings_definitions()
    return json.dumps(schema, indent=2) + "\n"


def main(arguments: list[str], file: Path = FILE) -> int:
    """Write the file, or say whether it is up to date."""
    text = file.read_text(encoding="utf-8")
    wanted = renewed(text)
    if arguments == ["--check"]:
        if text != wanted:
            sys.stderr.write(f"{file} differs from the settings; run `make generate`.\n")
            return 1
        return 0
    file.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
