"""Writes the conditions of the recorded objects anew, as the operator's own code makes them.

PYTHONPATH=tests python -m support.recording
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from support.gitops import CUSTOMIZATIONS, recorded
from uncensor_operator.api.status import StageStatus, Status
from uncensor_operator.names import Reason
from uncensor_operator.plan.conditions import Situation, conditions, phase
from uncensor_operator.plan.placement import Obstacle

NOW = datetime(2026, 11, 24, 13, tzinfo=UTC)
FAILED = (
    "train failed three times; the last attempt ended with code 70. Look at its log, then retry."
)
# What the operator knows in each state, beside the stages; None before it has seen the run.
FACTS: dict[str, dict[str, Any] | None] = {
    "created": None,
    "queued": {"current": "fetch", "waits": "my-run-fetch-1 waits for a node."},
    "running": {"current": "train", "still": False},
    "edited": {"current": "train", "still": False},
    "suspended": {"current": "train", "held": True},
    "stalled": {
        "current": "train",
        "ended": Obstacle(Reason.BACKOFF_LIMIT_EXCEEDED, FAILED),
    },
    "retrying": {"current": "train"},
    "succeeded": {"current": None},
    "deleting": {"current": "train", "still": False},
}


def renewed(state: str) -> dict[str, Any]:
    """Return a recorded object with the phase and conditions that the operator would write."""
    manifest, facts = copy.deepcopy(recorded()[state]), FACTS[state]
    if facts is None:
        return manifest
    status = manifest["status"]
    stages = [
        StageStatus.model_validate_json(json.dumps(one), by_name=False) for one in status["stages"]
    ]
    current = next((one for one in stages if one.name == facts["current"]), None)
    situation = Situation(stages, **{**facts, "current": current}, workspace="")
    made = conditions(situation, Status(), status["observedGeneration"], NOW)
    status["phase"] = phase(situation)
    status["conditions"] = [json.loads(one.model_dump_json(exclude_none=True)) for one in made]
    return manifest


def write(path: Path, manifest: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(manifest, sort_keys=False, width=100))


if __name__ == "__main__":
    for name in FACTS:
        write(CUSTOMIZATIONS / "testdata" / f"{name}.yaml", renewed(name))
    # What Argo CD's actions make of them.
    for name, action, suspend in (("running", "suspended", True), ("suspended", "resumed", False)):
        changed = renewed(name)
        changed["spec"]["suspend"] = suspend
        write(CUSTOMIZATIONS / "actions" / "testdata" / f"{name}-{action}.yaml", changed)
