"""Runs as a cluster tells of them: what the commands show, read leniently.

Nothing is refused here: a newer operator may write fields that this version does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from uncensor_operator import names
from uncensor_operator.cli.cluster.connection import Connection, Object, runs_path
from uncensor_operator.errors import ClusterError
from uncensor_operator.names import ConditionType, Reason, StageState

_NOT_FOUND = 404
# What is at work, or was at last; a stage that waits says nothing about the run.
_TELLING = (StageState.RUNNING, StageState.QUEUED, StageState.FAILED, StageState.STOPPED)


@dataclass(frozen=True, slots=True)
class Run:
    """One UncensorTraining object."""

    manifest: Object

    @property
    def name(self) -> str:
        """Name within the namespace."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the object."""
        return str(self.manifest["metadata"].get("namespace", ""))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What Kubernetes knows about it."""
        return _mapping(self.manifest.get("metadata"))

    @property
    def spec(self) -> Mapping[str, Any]:
        """What the run shall do."""
        return _mapping(self.manifest.get("spec"))

    @property
    def status(self) -> Mapping[str, Any]:
        """What the operator saw last; empty before it saw the run."""
        return _mapping(self.manifest.get("status"))

    @property
    def is_seen(self) -> bool:
        """Whether the operator has ever written the status."""
        return bool(self.status.get("observedGeneration", -1) >= 0)

    @property
    def is_current(self) -> bool:
        """Whether the status is about the spec as it is now."""
        return self.status.get("observedGeneration") == self.metadata.get("generation")

    @property
    def stages(self) -> list[Mapping[str, Any]]:
        """Stages in their order."""
        return [_mapping(one) for one in self.status.get("stages") or []]

    @property
    def conditions(self) -> dict[str, Mapping[str, Any]]:
        """Conditions by type."""
        return {str(one.get("type")): one for one in self.status.get("conditions") or []}

    def is_true(self, condition: ConditionType) -> bool:
        """Whether a condition is there and True."""
        return self.conditions.get(condition, {}).get("status") == "True"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen without a person."""
        return self.is_true(ConditionType.SUCCEEDED) or self.is_true(ConditionType.STALLED)

    @property
    def stage(self) -> Mapping[str, Any]:
        """The stage at work, or the last that did anything; empty before the first."""
        telling = [one for one in self.stages if one.get("state") in _TELLING]
        if telling:
            return telling[0]
        ended = [one for one in self.stages if one.get("state") != StageState.PENDING]
        return ended[-1] if ended else {}

    @property
    def state(self) -> str:
        """One word for people: New, Queued, Running, Retrying, Suspended, Stalled, ..."""
        if self.metadata.get("deletionTimestamp"):
            return "Deleting"
        for condition in (ConditionType.STALLED, ConditionType.SUCCEEDED, ConditionType.SUSPENDED):
            if self.is_true(condition):
                return condition.value
        if not self.is_seen:
            return "New"
        reason = self.conditions.get(ConditionType.RECONCILING, {}).get("reason")
        waiting = (Reason.PENDING, Reason.QUEUED, Reason.RETRYING, Reason.SUSPENDING)
        return str(reason) if reason in waiting else "Running"

    @property
    def message(self) -> str:
        """The sentence that matters most now."""
        for kind in (ConditionType.STALLED, ConditionType.SUSPENDED, ConditionType.RECONCILING):
            if self.is_true(kind):
                return str(self.conditions[kind].get("message", ""))
        ready = self.conditions.get(ConditionType.READY, {})
        return str(ready.get("message") or self.stage.get("message") or "")

    def age_seconds(self, now: datetime) -> float | None:
        """Seconds since the object was created."""
        return seconds_between(self.metadata.get("creationTimestamp"), now)


def find(connection: Connection, name: str) -> Run:
    """Return a run by its name.

    Raises:
        ClusterError: there is none, or the kind itself is unknown to the cluster.
    """
    try:
        return Run(connection.get(runs_path(connection.namespace, name)))
    except ClusterError as error:
        if error.code == _NOT_FOUND:
            raise ClusterError(_missing(connection, name), _NOT_FOUND) from error
        raise


def find_all(connection: Connection) -> list[Run]:
    """Return the runs of the namespace, or of all with -A, by namespace and name.

    Raises:
        ClusterError: the kind is unknown to the cluster, or the list is refused.
    """
    namespace = None if connection.options.all_namespaces else connection.namespace
    try:
        found = [Run(one) for one in connection.items(runs_path(namespace))]
    except ClusterError as error:
        if error.code == _NOT_FOUND:
            raise ClusterError(_no_kind(connection), _NOT_FOUND) from error
        raise
    return sorted(found, key=lambda run: (run.namespace, run.name))


def _missing(connection: Connection, name: str) -> str:
    try:
        others = [run.name for run in find_all(connection)]
    except ClusterError as error:
        return str(error)
    there = f"its runs: {', '.join(others[:10])}" if others else "it has none"
    return (
        f"No run {name} in namespace {connection.namespace} of {connection.where}; {there}. "
        "Another namespace is chosen with -n, all of them are listed by `status -A`."
    )


def _no_kind(connection: Connection) -> str:
    return (
        f"{connection.where} knows no {names.KIND}: its CRD is not installed there. "
        "`doctor` says what is missing; the Helm chart installs it."
    ).replace("the cluster", "The cluster", 1)


def parsed(text: object) -> datetime | None:
    """Return a time of the API (RFC 3339), or None."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC) if text else None
    except ValueError:
        return None


def seconds_between(begin: object, end: datetime) -> float | None:
    """Return the seconds from a time of the API until another; None when it is absent."""
    began = parsed(begin)
    return max(0.0, (end - began).total_seconds()) if began else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
