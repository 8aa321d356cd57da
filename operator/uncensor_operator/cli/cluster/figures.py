"""What a run's status has to say in figures, as people read them; "-" where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uncensor_operator.cli import words
from uncensor_operator.cli.cluster.runs import Run

NOTHING = "-"


def progress(run: Run) -> str:
    """Return "train 120/800 15 %", or what the operator wrote for its column."""
    written = _part(run.status, "columns").get("progress")
    if written:
        return str(written)
    return stage_progress(run.stage) or NOTHING


def stage_progress(stage: Mapping[str, Any]) -> str:
    """Return "120/800 15 %" of a stage; empty when it says nothing."""
    made = _part(stage, "progress")
    step, total, percent = made.get("step"), made.get("totalSteps"), made.get("percent")
    parts = []
    if step is not None:
        parts.append(f"{step}/{total}" if total else f"{step}")
    if percent is not None:
        parts.append(f"{percent} %")
    return " ".join(parts)


def eta(stage: Mapping[str, Any]) -> str:
    """Return how long the rest of a stage is expected to take."""
    seconds = _part(stage, "progress").get("etaSeconds")
    return words.duration(float(seconds)) if seconds is not None else NOTHING


def loss(run: Run) -> str:
    """Return the training loss of the last logged step."""
    return str(_part(run.status, "training").get("loss", NOTHING))


def tokens_per_second(run: Run) -> str:
    """Return the speed of the training."""
    value = _part(run.status, "training").get("tokensPerSecond")
    try:
        return words.count(float(value)) if value is not None else NOTHING
    except ValueError:
        return str(value)


def pool(run: Run) -> str:
    """Return the pool and, above one, the number of nodes."""
    compute = _part(run.spec, "compute")
    nodes = compute.get("nodes", 1)
    name = str(compute.get("pool") or "default")
    return name if nodes == 1 else f"{name} x{nodes}"


def restarts(run: Run) -> str:
    """Return "1" or "1 (+2 by the cluster)"."""
    counted = _part(run.status, "restarts")
    own, taken = counted.get("user", 0), counted.get("infrastructure", 0)
    return f"{own} (+{taken} by the cluster)" if taken else f"{own}"


def share(value: object) -> str:
    """Return a share of 1 in percent."""
    try:
        return words.percent(float(str(value)))
    except ValueError:
        return NOTHING


def _part(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
