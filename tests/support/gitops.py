"""Recorded objects, and how kstatus, which Flux and others use, judges them."""

from pathlib import Path
from typing import Any

import yaml

GITOPS = Path(__file__).parents[2] / "gitops"
CUSTOMIZATIONS = GITOPS / "argocd/resource_customizations/uncensor.dev/UncensorTraining"


def recorded() -> dict[str, dict[str, Any]]:
    """Return the recorded objects by the state that they show."""
    files = sorted((CUSTOMIZATIONS / "testdata").glob("*.yaml"))
    return {file.stem: yaml.safe_load(file.read_text()) for file in files}


def kstatus(manifest: dict[str, Any]) -> str:
    """Return the verdict on a custom resource, by the rules of cli-utils/pkg/kstatus.

    In their order: deletion, generations that differ, Reconciling, Stalled, Ready; and an object
    that says nothing at all counts as done.
    """
    metadata, status = manifest["metadata"], manifest.get("status") or {}
    if "deletionTimestamp" in metadata:
        return "Terminating"
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata.get("generation"):
        return "InProgress"
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    if conditions.get("Ready") in ("False", "Unknown"):
        return "InProgress"
    return "Current"
