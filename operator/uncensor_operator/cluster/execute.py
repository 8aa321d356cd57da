"""Carry out the steps of a plan, in order; every one may be repeated without harm."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from uncensor_operator.api.status import Status
from uncensor_operator.cluster.client import CONFLICT, ApiError, Client
from uncensor_operator.cluster.resources import BY_KIND, JOBS, PYTORCHJOBS, RUNS, Resource
from uncensor_operator.cluster.store import Key, Store
from uncensor_operator.errors import UncensorError
from uncensor_operator.plan.outcome import Create, Delete, Patch, Step
from uncensor_operator.telemetry import WRITES


class NotOursError(UncensorError):
    """An object of the name that we need belongs to somebody else."""


class Executor:
    """Writes to the API server, and tells the store what came of it."""

    def __init__(self, client: Client, store: Store) -> None:
        self._client = client
        self._store = store

    async def execute(self, key: Key, owner: str, steps: Sequence[Step]) -> None:
        """Carry out steps until one fails.

        What a run needs beside its children is created at once, and all of it before a child is:
        one round trip instead of four before every first child (docs/adr/0055).

        Raises:
            ApiError: the server refused one, or did not answer.
            NotOursError: a name is taken.
        """
        for belongings, group in itertools.groupby(steps, _is_belonging):
            if belongings:
                await _together([self._step(key, owner, step) for step in group])
                continue
            for step in group:
                await self._step(key, owner, step)

    async def _step(self, key: Key, owner: str, step: Step) -> None:
        match step:
            case Create(manifest):
                await self._create(key, owner, manifest)
            case Delete():
                await self._delete(key, step)
            case Patch(kind, name, body):
                resource = BY_KIND[kind]
                raw = await self._client.patch(resource, key.namespace, name, body)
                self._wrote(resource, raw, "patch")

    async def write_status(self, raw: Mapping[str, Any], status: Status) -> bool:
        """Write a status that differs from the object's; tell whether it did.

        The version that the decision was made on goes along, so that a process that was asleep
        while another one worked cannot overwrite what that one found.

        Raises:
            ApiError: CONFLICT when the object has changed meanwhile.
        """
        wanted = status.model_dump(by_alias=True, mode="json", exclude_none=True)
        change = difference(raw.get("status", {}), wanted)
        if not change:
            return False
        metadata = raw["metadata"]
        body = {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "uid": metadata["uid"],
            },
            "status": change,
        }
        written = await self._client.patch(
            RUNS, metadata["namespace"], metadata["name"], body, part="status"
        )
        self._wrote(RUNS, written, "status")
        return True

    async def _create(self, key: Key, owner: str, manifest: Mapping[str, Any]) -> None:
        resource = BY_KIND[manifest["kind"]]
        try:
            raw = await self._client.create(resource, manifest)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            raw = await self._adopted(key, owner, resource, manifest)
        self._wrote(resource, raw, "create")

    async def _adopted(
        self, key: Key, owner: str, resource: Resource, manifest: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the object that has the name already, if it belongs to this very run."""
        name = manifest["metadata"]["name"]
        raw = await self._client.get(resource, key.namespace, name)
        if raw is None:
            raise ApiError(CONFLICT, "Gone", f"{resource.kind} {name} has just been deleted.")
        owners = {one.get("uid") for one in raw["metadata"].get("ownerReferences", ())}
        # A claim that outlives its runs has no owner; its name alone says whose it is.
        free = not owners and not manifest["metadata"].get("ownerReferences")
        if owner in owners or free:
            return raw
        raise NotOursError(
            f"{resource.kind} {name} exists already and does not belong to this run. If it is of a "
            "deleted run, it goes away by itself; else rename this run, or delete it."
        )

    async def _delete(self, key: Key, step: Delete) -> None:
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if step.uid:
            options["preconditions"] = {"uid": step.uid}
        if step.grace_seconds is not None:
            options["gracePeriodSeconds"] = step.grace_seconds
        WRITES.labels("delete").inc()
        try:
            await self._client.delete(BY_KIND[step.kind], key.namespace, step.name, options)
        except ApiError as error:
            if error.code != CONFLICT:  # another object of this name: ours is gone already
                raise

    def _wrote(self, resource: Resource, raw: dict[str, Any], what: str) -> None:
        WRITES.labels(what).inc()
        self._store.put(resource, raw)


def _is_belonging(step: Step) -> bool:
    return isinstance(step, Create) and step.manifest["kind"] not in (JOBS.kind, PYTORCHJOBS.kind)


async def _together(writes: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Wait for all of them; then the first error counts."""
    for result in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def difference(old: object, new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch that makes `new` of `old`: changed keys, and nulls for lost ones."""
    before = old if isinstance(old, Mapping) else {}
    patch: dict[str, Any] = {key: None for key in before if key not in new}
    for key, value in new.items():
        known = before.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            inner = difference(known, value)
            if inner:
                patch[key] = inner
        elif key not in before or known != value:
            patch[key] = value
    return patch
