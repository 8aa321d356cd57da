"""Pods as the plan sees them: what Kubernetes says about one, without the rest of its object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from uncensor_operator.plan.times import read_time
from uncensor_trainer.progress import Json

# The container that works; the training-operator insists on the name in its own pods.
CONTAINER = "pytorch"
REPLICA_LABEL = "training.kubeflow.org/replica-type"
# Reasons of a pod's own status that say the same as the DisruptionTarget condition.
_TAKEN = frozenset({"Evicted", "NodeLost", "Shutdown", "NodeShutdown", "Preempting", "Terminated"})


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended.

    Attributes:
        code: its exit status; 137 is SIGKILL, 143 SIGTERM.
        reason: Kubernetes' word, such as OOMKilled.
        message: the last lines of its log, when it left no outcome.
        outcome: what the trainer wrote as its last word; empty without one.
        finished_at: when.
        started_at: when it had begun.
    """

    code: int
    reason: str = ""
    message: str = ""
    outcome: Mapping[str, Json] = field(default_factory=dict)
    finished_at: datetime | None = None
    started_at: datetime | None = None

    @property
    def told_code(self) -> int:
        """The code in the trainer's last word, because torchrun ends with 1 whatever happened."""
        told = self.outcome.get("code")
        return told if self.code == 1 and isinstance(told, int) else self.code


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of an attempt.

    Attributes:
        replica: master or worker in a PyTorchJob; empty in a Job.
        phase: Pending, Running, Succeeded or Failed.
        unschedulable: the scheduler's sentence, when it found no node.
        waiting_reason: why a container does not start, such as ImagePullBackOff.
        running_since: when the working container started.
        exit: how it ended; None while it has not.
        gone_by: when a deletion that was asked for must have ended.
        deleting_since: when it was asked for.
        disruption: why the cluster takes the pod away; empty when it does not.
    """

    name: str
    uid: str
    created: datetime
    phase: str = "Pending"
    replica: str = ""
    node: str = ""
    unschedulable: str = ""
    waiting_reason: str = ""
    waiting_message: str = ""
    running_since: datetime | None = None
    exit: Exit | None = None
    gone_by: datetime | None = None
    deleting_since: datetime | None = None
    disruption: str = ""
    scheduled_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def speaks(self) -> bool:
        """Whether it is the one whose log and last word count: rank 0."""
        return self.replica in ("", "master")


def pod_of(raw: Mapping[str, Any]) -> Pod:
    """Return what the plan needs of a pod's object."""
    metadata, status = raw["metadata"], raw.get("status", {})
    labels = metadata.get("labels", {})
    states = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    main: Mapping[str, Any] = next((one for one in states if one.get("name") == CONTAINER), {})
    waiting = _waiting(states)
    scheduled = _condition(status, "PodScheduled")
    blocked = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    return Pod(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        phase=status.get("phase", "Pending"),
        replica=labels.get(REPLICA_LABEL, ""),
        node=raw.get("spec", {}).get("nodeName", ""),
        unschedulable=scheduled.get("message", "") if blocked else "",
        waiting_reason=waiting.get("reason", ""),
        waiting_message=waiting.get("message", ""),
        running_since=read_time(main.get("state", {}).get("running", {}).get("startedAt")),
        exit=_exit(main, status),
        gone_by=read_time(metadata.get("deletionTimestamp")),
        deleting_since=_deleting_since(metadata),
        disruption=_disruption(status),
        scheduled_at=_scheduled_at(scheduled),
    )


def _deleting_since(metadata: Mapping[str, Any]) -> datetime | None:
    """The deletion's timestamp lies ahead by the grace that the pod has."""
    end = read_time(metadata.get("deletionTimestamp"))
    grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    return end - grace if end else None


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    conditions: Sequence[Mapping[str, Any]] = status.get("conditions", ())
    return next((one for one in conditions if one.get("type") == kind), {})


def _scheduled_at(scheduled: Mapping[str, Any]) -> datetime | None:
    return (
        read_time(scheduled.get("lastTransitionTime"))
        if scheduled.get("status") == "True"
        else None
    )


def _waiting(states: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    """The first container that does not start for a reason worth telling."""
    ordinary = ("ContainerCreating", "PodInitializing")
    found = [one.get("state", {}).get("waiting", {}) for one in states]
    return next((one for one in found if one.get("reason", ordinary[0]) not in ordinary), {})


def _exit(main: Mapping[str, Any], status: Mapping[str, Any]) -> Exit | None:
    ended = main.get("state", {}).get("terminated")
    if ended is None:
        # The kubelet refused it, or its node took it away, before the container ran.
        return (
            Exit(-1, status.get("reason", ""), status.get("message", ""))
            if _failed(status)
            else None
        )
    text = ended.get("message", "")
    return Exit(
        code=int(ended.get("exitCode", -1)),
        reason=ended.get("reason", ""),
        message=text,
        outcome=_outcome(text),
        finished_at=read_time(ended.get("finishedAt")),
        started_at=read_time(ended.get("startedAt")),
    )


def _failed(status: Mapping[str, Any]) -> bool:
    return bool(status.get("phase") == "Failed")


def _outcome(text: str) -> Mapping[str, Json]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) and "outcome" in value else {}


def _disruption(status: Mapping[str, Any]) -> str:
    target = _condition(status, "DisruptionTarget")
    if target.get("status") == "True":
        return f"{target.get('reason', 'Disrupted')}: {target.get('message', '')}".rstrip(": ")
    if status.get("reason") in _TAKEN:
        return f"{status['reason']}: {status.get('message', '')}".rstrip(": ")
    return ""
