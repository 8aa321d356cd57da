"""One replica works, the others stand by: a Lease, as every Kubernetes component holds one.

Ours instead of the client library's, whose requests have no timeout (a dead connection would hold
up the renewal for five minutes) and whose deadlines follow the wall clock. Time is measured here
by a clock that nobody sets, and an update must name the version it was decided on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from uncensor_operator.cluster.client import CONFLICT, ApiError, Client
from uncensor_operator.cluster.resources import LEASES
from uncensor_operator.settings import Election

LOG = logging.getLogger(__name__)


class LeaseLostError(Exception):
    """The lease is not ours any more; what this process would do now is not its business."""


class Lease:
    """The right to work, as one candidate sees it."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        identity: str,
        settings: Election,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._identity = identity
        self._settings = settings
        self._clock = clock
        # What the lease looked like when it last changed, and when we saw that.
        self._seen: tuple[str, float] = ("", float("-inf"))

    async def acquire(self, on_try: Callable[[], None] = lambda: None) -> None:
        """Wait until the lease is ours."""
        while True:
            on_try()
            try:
                if await self._take():
                    return
            except ApiError as error:
                if error.code != CONFLICT:  # else another candidate was quicker
                    LOG.warning("lease: %s", error)
            await asyncio.sleep(self._settings.retry_seconds)

    async def keep(self) -> None:
        """Renew the lease for as long as that works.

        Raises:
            LeaseLostError: it did not work for too long, or somebody else has it.
        """
        renewed = self._clock()
        while True:
            await asyncio.sleep(self._settings.retry_seconds)
            # From before the request on: others count from when it was written, not answered.
            began = self._clock()
            left = renewed + self._settings.renew_seconds - began
            # One request that is lost on its way must leave time for another.
            patience = max(0.1, min(left, self._settings.renew_seconds / 2))
            try:
                if not await asyncio.wait_for(self._take(), patience):
                    raise LeaseLostError("Another replica holds the lease.")
                renewed = began
            except (ApiError, TimeoutError) as error:
                LOG.warning("lease not renewed: %s", str(error) or "no answer in time")
                if self._clock() - renewed >= self._settings.renew_seconds:
                    raise LeaseLostError("The lease could not be renewed in time.") from error

    async def release(self) -> None:
        """Give the lease up, so that another replica need not wait for it to run out."""
        try:
            raw = await self._client.get(LEASES, self._namespace, self._settings.name)
            if raw and raw["spec"].get("holderIdentity") == self._identity:
                await self._write(raw, {"holderIdentity": "", "leaseDurationSeconds": 1})
        except ApiError as error:
            LOG.warning("lease not released: %s", error)

    async def _take(self) -> bool:
        """Take or renew the lease; tell whether it is ours.

        Raises:
            ApiError: unknown; CONFLICT when somebody wrote to it meanwhile, whatever they wrote.
        """
        raw = await self._client.get(LEASES, self._namespace, self._settings.name)
        if raw is None:
            await self._client.create(LEASES, self._fresh())
            return True
        if not self._is_free(raw):
            return False
        await self._write(raw, self._held(raw))
        return True

    def _is_free(self, raw: dict[str, Any]) -> bool:
        """Ours, given up, or not renewed for its duration on our own clock."""
        spec = raw.get("spec", {})
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        version = raw["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, self._clock())
        return self._clock() - self._seen[1] > float(spec.get("leaseDurationSeconds", 15))

    def _fresh(self) -> dict[str, Any]:
        metadata = {"name": self._settings.name, "namespace": self._namespace}
        body = {"apiVersion": LEASES.version, "kind": "Lease", "metadata": metadata}
        return {**body, "spec": self._held({})}

    def _held(self, raw: dict[str, Any]) -> dict[str, Any]:
        spec, now = raw.get("spec", {}), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        held: dict[str, Any] = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": round(self._settings.lease_seconds),
            "renewTime": now,
        }
        if spec.get("holderIdentity") != self._identity:
            held["acquireTime"] = now
            held["leaseTransitions"] = spec.get("leaseTransitions", 0) + bool(spec)
        return held

    async def _write(self, raw: dict[str, Any], spec: dict[str, Any]) -> None:
        version = {"resourceVersion": raw["metadata"]["resourceVersion"]}
        body = {"metadata": version, "spec": spec}
        await self._client.patch(LEASES, self._namespace, self._settings.name, body)
