"""The resolved settings of a run as a flat list of names that people write in training.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from uncensor_trainer.progress import Json
from uncensor_trainer.report.reading import mapping, text
from uncensor_trainer.runfile import RunFile

SECTIONS = ("model", "datasets", "filter", "training", "probe", "evaluation", "compute")


def resolved(run: RunFile) -> dict[str, str]:
    """Return `training.learningRate` -> `2e-05` and so on, in the order of the run file."""
    dumped: dict[str, Json] = run.model_dump(mode="json")
    found: dict[str, str] = {}
    for section in SECTIONS:
        found.update(_flat(section, dumped[section]))
    return found


def _flat(name: str, value: Json) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and "kind" in value:
        yield name, source_words(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            # The names of classes and modules are words of their own; only fields change case.
            yield from _flat(f"{name}.{_camel(key)}", item)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            label = text(mapping(item).get("name"), str(number))
            yield from _flat(f"{name}[{label}]", item)
    else:
        yield name, _shown(value)


def _shown(value: Json) -> str:
    if value is None:
        return "\u2013"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "\u2013"
    return text(value)


def source_words(source: dict[str, Json]) -> str:
    """Return a source in one line, without what a URL may hold of secrets."""
    parts = [f"{_camel(key)} {_told(key, value)}" for key, value in source.items() if _says(value)]
    return ", ".join(part for part in parts if not part.startswith("kind "))


def _says(value: Json) -> bool:
    return value not in (None, [], "")


def _told(key: str, value: Json) -> str:
    if key != "url":
        return _shown(value)
    try:
        url = urlsplit(text(value))
    except ValueError:
        return "(unreadable URL)"
    # User, password and query may be keys.
    query = "?\u2026" if url.query else ""
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}{query}"


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)
