"""Run files with everything filled in, to be changed by what a test is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from uncensor_trainer.runfile import (
    Dataset,
    FilterSettings,
    PathSource,
    RunFile,
    TrainingSettings,
)

ACTIONS = {
    "refusal": "drop",
    "partial": "keep",
    "moralise": "drop",
    "capability": "keep",
    "disclaimer": "strip",
    "placeholder": "drop",
    "identity": "keep",
}


def make_run(workspace: Path | str = "/workspace", **fields: Any) -> RunFile:
    """Return a run with one data set and no stages yet."""
    values: dict[str, Any] = {
        "run": "trial",
        "workspace": str(workspace),
        "stages": (),
        "model": PathSource(path="base"),
        "datasets": (Dataset(name="rows", source=PathSource(path="rows.json")),),
        "filter": FilterSettings(actions=ACTIONS),
        "training": TrainingSettings(),
    }
    return RunFile(**{**values, **fields})
