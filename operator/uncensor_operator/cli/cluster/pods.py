"""The pods of a run, told apart by the labels that the operator gives its children."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uncensor_operator.cli.cluster.connection import Connection, Object
from uncensor_operator.names import Label

# The container that the training-operator insists on; stages have one container anyway.
_TRAINING_CONTAINER = "pytorch"


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a stage."""

    manifest: Object

    @property
    def name(self) -> str:
        """Name of the pod."""
        return str(self.manifest["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Tells a pod from a later one of the same name."""
        return str(self.manifest["metadata"]["uid"])

    @property
    def stage(self) -> str:
        """Stage that the pod works on."""
        return str(self._labels.get(Label.STAGE, ""))

    @property
    def attempt(self) -> int:
        """Number of the try, from 1; 0 when the label is not a number."""
        text = str(self._labels.get(Label.ATTEMPT, ""))
        return int(text) if text.isdecimal() else 0

    @property
    def created(self) -> str:
        """When it was made; the format sorts by time."""
        return str(self.manifest["metadata"].get("creationTimestamp", ""))

    @property
    def container(self) -> str:
        """The container that does the work."""
        there = [str(one["name"]) for one in self.manifest["spec"]["containers"]]
        return _TRAINING_CONTAINER if _TRAINING_CONTAINER in there else there[0]

    @property
    def has_begun(self) -> bool:
        """Whether the container has written, or may have written, a log."""
        states = [self._container_status.get(key) or {} for key in ("state", "lastState")]
        return any("running" in one or "terminated" in one for one in states)

    @property
    def has_ended(self) -> bool:
        """Whether no more lines will come."""
        phase = (self.manifest.get("status") or {}).get("phase")
        return phase in ("Succeeded", "Failed")

    @property
    def why_waiting(self) -> str:
        """What the pod waits for, in the words of scheduler or kubelet."""
        waiting = (self._container_status.get("state") or {}).get("waiting") or {}
        if waiting:
            return ": ".join(filter(None, (waiting.get("reason"), waiting.get("message"))))
        status = self.manifest.get("status") or {}
        for condition in status.get("conditions") or []:
            if condition.get("type") == "PodScheduled" and condition.get("status") != "True":
                return f"{condition.get('reason')}: {condition.get('message')}"
        return str(status.get("phase", "Pending"))

    @property
    def _labels(self) -> Mapping[str, Any]:
        return self.manifest["metadata"].get("labels") or {}

    @property
    def _container_status(self) -> Mapping[str, Any]:
        states = (self.manifest.get("status") or {}).get("containerStatuses") or []
        return next((one for one in states if one.get("name") == self.container), {})


def find_pods(
    connection: Connection, run: str, stage: str | None = None, attempt: int | None = None
) -> list[Pod]:
    """Return the pods of a run, of one stage and attempt if they are named, by name."""
    wanted = {Label.RUN: run, Label.STAGE: stage, Label.ATTEMPT: attempt}
    selector = ",".join(f"{label}={value}" for label, value in wanted.items() if value is not None)
    path = f"/api/v1/namespaces/{connection.namespace}/pods"
    found = connection.items(path, labelSelector=selector)
    return sorted((Pod(one) for one in found), key=lambda pod: pod.name)


def newest_attempt(pods: Sequence[Pod]) -> list[Pod]:
    """Return the pods of the attempt that was begun last."""
    if not pods:
        return []
    last = max(pods, key=lambda pod: (pod.created, pod.attempt))
    return [pod for pod in pods if (pod.stage, pod.attempt) == (last.stage, last.attempt)]
