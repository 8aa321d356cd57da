"""Names and labels of everything that the operator creates for a run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from uncensor_operator import names
from uncensor_operator.names import Label

# The training-operator names pods and Services `<job>-worker-<n>`, and those are DNS labels.
_DNS_LABEL = 63
_LONGEST_SUFFIX = len("-worker-1023")
PRODUCT = "uncensor-operator"


def child_name(run: str, stage: str, attempt: int) -> str:
    """Return `<run>-<stage>-<attempt>`; a long run's name is cut and marked with its digest."""
    tail = f"-{stage}-{attempt}"
    return _fitting(run, _DNS_LABEL - _LONGEST_SUFFIX - len(tail)) + tail


def claim_name(run: str) -> str:
    """Return the name of the workspace's claim."""
    return f"{run}-workspace"


def run_file_name(run: str, digest: str) -> str:
    """Return the name of the ConfigMap that holds a run file of this digest."""
    return f"{run}-run-{digest[:10]}"


def policy_name(run: str, stage: str | None = None) -> str:
    """Return the name of the NetworkPolicy of a run's pods, or of a stage's."""
    return f"{run}-{stage}" if stage else f"{run}-pods"


def labels(run: str, given: Mapping[str, str], stage: str = "", attempt: int = 0) -> dict[str, str]:
    """Return the labels of an object of a run.

    `given` are the labels of the run itself: those of Kueue go on to every child.
    """
    found = {
        Label.RUN.value: run,
        Label.MANAGED_BY.value: names.FIELD_MANAGER,
        Label.NAME.value: PRODUCT,
        Label.INSTANCE.value: run,
    }
    if stage:
        found |= {Label.STAGE.value: stage, Label.COMPONENT.value: stage}
        found[Label.ATTEMPT.value] = str(attempt)
        found |= {key: text for key, text in given.items() if key.startswith("kueue.x-k8s.io/")}
    return found


def owner(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reference that makes an object go away with its run."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": manifest["metadata"]["name"],
        "uid": manifest["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _fitting(run: str, room: int) -> str:
    if len(run) <= room:
        return run
    mark = hashlib.sha256(run.encode()).hexdigest()[:6]
    return f"{run[: room - len(mark) - 1].rstrip('-')}-{mark}"
