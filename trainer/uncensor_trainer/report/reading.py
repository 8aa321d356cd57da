"""Reads what stages left, of this version or an older one: what is wrong counts as absent.

The report must never fail, so nothing here raises for odd content.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from uncensor_trainer.progress import Json


def rows(path: Path) -> Iterator[dict[str, Json]]:
    """Yield the objects of a JSON-lines file; absent files and torn lines yield nothing."""
    try:
        file = path.open(encoding="utf-8", errors="replace", newline="\n")
    except OSError:
        return
    with file:
        for line in file:
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value


def mapping(value: Json) -> dict[str, Json]:
    """Return an object, empty for anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: Json) -> list[dict[str, Json]]:
    """Return the objects of a list, empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def number(value: Json) -> float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def count(value: Json) -> int:
    """Return a whole number, 0 for anything else."""
    found = number(value)
    return 0 if found is None else int(found)


def counts(value: Json) -> dict[str, int]:
    """Return the whole numbers of an object by name, the largest first."""
    found = {text(key): count(item) for key, item in mapping(value).items()}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def text(value: Json, default: str = "") -> str:
    """Return text that can be written as UTF-8 and shown; `default` for absence.

    Lone surrogates and control characters, which no browser shows, become U+FFFD.
    """
    if value is None or isinstance(value, dict | list):
        return default
    clean = str(value).encode("utf-8", "replace").decode("utf-8")
    return "".join(_visible(character) for character in clean)


def _visible(character: str) -> str:
    is_control = character < " " or "\x7f" <= character <= "\x9f"
    return "\ufffd" if is_control and character not in "\n\t\r" else character
