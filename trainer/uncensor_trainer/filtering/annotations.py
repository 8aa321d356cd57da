"""What people decided about single rows: a file of JSON lines, honoured on the next run.

    {"row": "9f86d081884c7d65", "action": "keep", "note": "an asked-for letter"}

A row is known by the hash of its bytes, so the file goes on to work when rows are added or moved.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering.rows import BLANK

ACTIONS = ("keep", "drop")
DIGITS = 16  # hexadecimal; two of a billion rows share one once in thirty data sets
_FIELDS = {"row", "action", "note"}


def row_hash(line: bytes) -> str:
    """Return what a row is known by: a hash of its line without the blanks around."""
    return hashlib.sha256(line.strip(BLANK)).hexdigest()[:DIGITS]


def annotations_from(path: Path) -> dict[str, str]:
    """Read a file of annotations: the action by row; a later line about a row counts.

    Raises:
        InvalidInput: the file cannot be read, or a line is no annotation.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The annotations in {path} cannot be read: {error}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            row, action = _annotation(f"{path}, line {number}", line)
            found[row] = action
    return found


def _annotation(where: str, line: str) -> tuple[str, str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where}: not JSON: {error}") from error
    if not isinstance(value, dict) or not {"row", "action"} <= value.keys() <= _FIELDS:
        raise InvalidInput(f"{where}: want an object with row and action, and perhaps a note.")
    row, action = value["row"], value["action"]
    is_hash = isinstance(row, str) and len(row) == DIGITS and not row.strip("0123456789abcdef")
    if not is_hash:
        raise InvalidInput(
            f"{where}: row is {row!r}; want the {DIGITS} digits that a report shows."
        )
    if action not in ACTIONS:
        raise InvalidInput(f"{where}: action is {action!r}; want one of {', '.join(ACTIONS)}.")
    return row, action
