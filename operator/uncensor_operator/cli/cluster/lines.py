"""Lines of the trainer as people read them; everything else as it stands."""

from __future__ import annotations

import json

from uncensor_operator.cli.view import progress_words
from uncensor_trainer.progress import Json


def readable(line: str) -> str:
    """Return an event of the trainer in words, and any other line unchanged."""
    event = _event(line)
    if event is None:
        return line
    stage = str(event.get("stage", ""))
    if event["event"] == "progress":
        return f"{stage}: {progress_words(event)}"
    if isinstance(event.get("message"), str):
        kind = "" if event["event"] == "note" else f"{event['event']}: "
        return f"{stage}: {kind}{event['message']}"
    rest = {key: value for key, value in event.items() if key not in ("event", "stage")}
    told = "  ".join(f"{key} {_short(value)}" for key, value in rest.items())
    return f"{stage}: {event['event']}  {told}".rstrip()


def _event(line: str) -> dict[str, Json] | None:
    # Most lines of other programs are told apart by their first character.
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("event"), str) else None


def _short(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
