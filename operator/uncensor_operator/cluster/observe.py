"""Gather everything about one run: from what the watches have shown, and a few live looks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from uncensor_operator.api.objects import training_of
from uncensor_operator.api.v1alpha1 import Status, UncensorTraining
from uncensor_operator.cluster.client import FORBIDDEN, ApiError, Client
from uncensor_operator.cluster.logs import LogBook
from uncensor_operator.cluster.resources import (
    CLAIMS,
    CONFIG_MAPS,
    CORE_EVENTS,
    JOBS,
    NODES,
    PODS,
    POLICIES,
    PYTORCHJOBS,
)
from uncensor_operator.cluster.store import Key, Store
from uncensor_operator.errors import SpecError
from uncensor_operator.plan.attempts import OVERTIME
from uncensor_operator.plan.naming import claim_name
from uncensor_operator.plan.pods import Pod, pod_of
from uncensor_operator.plan.times import read_time
from uncensor_operator.plan.world import (
    Child,
    Claim,
    LiveProgress,
    WarningEvent,
    World,
    child_of,
    claim_of,
)

# Events about an object that starts normally are not asked for.
QUIET_SECONDS = 4.0


class Observer:
    """Looks at runs."""

    def __init__(self, client: Client, store: Store, logs: LogBook) -> None:
        self._client = client
        self._store = store
        self._logs = logs

    async def look(self, key: Key) -> World | None:
        """Return everything about a run; None when there is no such run (any more).

        Raises:
            ApiError: a live look failed; the pass is repeated later.
        """
        raw = self._store.run(key)
        if raw is None:
            return None
        now = datetime.now(UTC)
        training, problem = _read(raw)
        status = _status(raw)
        children, strangers = self._children(key, raw["metadata"]["uid"])
        claim = await self._claim(key, raw, training)
        await self._last_words(key, children, status)
        return World(
            now=now,
            manifest=raw,
            training=training,
            problem=problem,
            status=status,
            children=children,
            strangers=strangers,
            claim=claim,
            config_maps=self._names(key, CONFIG_MAPS, raw["metadata"]["uid"]),
            policies=self._names(key, POLICIES, raw["metadata"]["uid"]),
            progress=self._progress(children),
            warnings=await self._warnings(key, children, claim, now),
            absent_nodes=await self._absent_nodes(children, strangers, now),
        )

    def _children(self, key: Key, owner: str) -> tuple[tuple[Child, ...], tuple[Pod, ...]]:
        """Return the run's attempts, and the pods that carry its label without being theirs."""
        pods: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        owned = [
            raw
            for resource in (JOBS, PYTORCHJOBS)
            for raw in self._store.parts(key, resource)
            if _controller(raw) == owner
        ]
        uids = {raw["metadata"]["uid"] for raw in owned}
        for raw in (*self._store.parts(key, PODS), *self._store.departed(key, uids)):
            pods[_controller(raw)].append(raw)
        children = [child_of(raw, tuple(pods.pop(raw["metadata"]["uid"], ()))) for raw in owned]
        strangers = tuple(pod_of(raw) for rest in pods.values() for raw in rest)
        return tuple(sorted(children, key=lambda one: (one.created, one.attempt))), strangers

    async def _claim(
        self, key: Key, raw: Mapping[str, Any], training: UncensorTraining | None
    ) -> Claim | None:
        owner = raw["metadata"]["uid"]
        existing = training.spec.workspace.existing_claim if training else None
        if existing is not None:
            # Not ours, so not watched; somebody may bind it or take it away at any time.
            found = await self._client.get(CLAIMS, key.namespace, existing)
            return claim_of(found, owner, ours=False) if found else None
        known = self._store.part(key, CLAIMS, claim_name(key.name))
        if known is None and not self._store.is_new(key):
            # One that an administrator made, or that lost its labels, is as good.
            known = await self._client.get(CLAIMS, key.namespace, claim_name(key.name))
        return claim_of(known, owner, ours=True) if known else None

    async def _last_words(self, key: Key, children: Iterable[Child], status: Status) -> None:
        """Read the log of an attempt that has just ended once more: it names its last save."""
        judged = {one.child for one in status.stages if one.retry_at or one.finished_at}
        for one in children:
            speaker = one.speaker
            if one.is_over and one.name not in judged and speaker and speaker.exit:
                await self._logs.read(key.namespace, speaker.name, speaker.uid, now=True)

    def _progress(self, children: Iterable[Child]) -> dict[str, LiveProgress]:
        found = {}
        for one in children:
            known = self._logs.of(one.speaker.uid) if one.speaker else None
            if known is not None:
                found[one.name] = known
        return found

    def _names(self, key: Key, resource: Any, owner: str) -> frozenset[str]:
        return frozenset(
            raw["metadata"]["name"]
            for raw in self._store.parts(key, resource)
            if _controller(raw) == owner
        )

    async def _warnings(
        self, key: Key, children: Iterable[Child], claim: Claim | None, now: datetime
    ) -> tuple[WarningEvent, ...]:
        """Ask for events about what does not get on, and only about that."""
        wanted = []
        if claim is not None and claim.phase == "Pending" and _is_old(claim.created, now):
            wanted.append(("PersistentVolumeClaim", claim.name))
        for one in children:
            if one.is_over or one.suspended:
                continue
            if not one.pods and _is_old(one.created, now):
                wanted.append((one.kind, one.name))
            wanted += [("Pod", pod.name) for pod in one.pods if _hesitates(pod, now)]
        found: list[WarningEvent] = []
        for kind, name in wanted:
            found += await self._events(key.namespace, kind, name)
        return tuple(found)

    async def _events(self, namespace: str, kind: str, name: str) -> list[WarningEvent]:
        selector = f"type=Warning,involvedObject.kind={kind},involvedObject.name={name}"
        try:
            raws = await self._client.list(CORE_EVENTS, namespace, fieldSelector=selector)
        except ApiError as error:
            if error.code == FORBIDDEN:
                return []
            raise
        found = [
            WarningEvent(
                f"{kind}/{name}",
                raw.get("reason", ""),
                raw.get("message", ""),
                read_time(
                    raw.get("lastTimestamp")
                    or raw.get("eventTime")
                    or raw["metadata"]["creationTimestamp"]
                ),
            )
            for raw in raws
        ]
        return sorted(found, key=lambda one: one.seen_at or datetime.min.replace(tzinfo=UTC))

    async def _absent_nodes(
        self, children: Iterable[Child], strangers: Iterable[Pod], now: datetime
    ) -> frozenset[str]:
        """Look at the nodes of pods that are being taken away, whatever the cause."""
        pods = [*strangers, *(pod for one in children for pod in one.pods)]
        leaving = {
            pod.node: pod
            for pod in pods
            if pod.node and not pod.is_over and (pod.gone_by or pod.disruption)
        }
        return frozenset(
            [node for node, pod in leaving.items() if await self._is_absent(node, pod, now)]
        )

    async def _is_absent(self, node: str, pod: Pod, now: datetime) -> bool:
        try:
            raw = await self._client.get(NODES, None, node)
        except ApiError as error:
            if error.code != FORBIDDEN:
                raise
            # An operator with rights in its namespaces only cannot see nodes; a pod that outlives
            # its deletion says the same, later.
            return pod.gone_by is not None and (now - pod.gone_by).total_seconds() > OVERTIME
        return raw is None or not _is_ready(raw)


def _read(raw: Mapping[str, Any]) -> tuple[UncensorTraining | None, str]:
    try:
        return training_of(raw), ""
    except SpecError as error:
        return None, f"This release cannot read the spec: {error}"


def _status(raw: Mapping[str, Any]) -> Status:
    """The status as this release reads it; one that it cannot read is begun anew.

    Nothing is lost by that: what is complete on the workspace is skipped.
    """
    known = {key: raw.get("status", {}).get(key) for key in _STATUS_FIELDS}
    given = {key: value for key, value in known.items() if value is not None}
    try:
        text = json.dumps(given)
        return Status.model_validate_json(text, strict=True, by_alias=True, by_name=False)
    except ValidationError:
        return Status()


_STATUS_FIELDS = tuple(field.alias or name for name, field in Status.model_fields.items())


def _controller(raw: Mapping[str, Any]) -> str:
    owners = raw["metadata"].get("ownerReferences", ())
    return next((str(one["uid"]) for one in owners if one.get("controller")), "")


def _hesitates(pod: Pod, now: datetime) -> bool:
    starts = pod.running_since is None and pod.exit is None and not pod.unschedulable
    return starts and pod.gone_by is None and _is_old(pod.scheduled_at or pod.created, now)


def _is_old(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and (now - moment).total_seconds() > QUIET_SECONDS


def _is_ready(node: Mapping[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
