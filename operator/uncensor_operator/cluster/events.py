"""Events for people: one object for each thing that happens, counted when it happens again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from uncensor_operator import names
from uncensor_operator.cluster.client import NOT_FOUND, ApiError, Client
from uncensor_operator.cluster.resources import EVENTS
from uncensor_operator.plan.outcome import Event
from uncensor_operator.telemetry import WRITES

LOG = logging.getLogger(__name__)
NOTE_BYTES = 1024
REMEMBERED = 4096
# Events that wait to be written; beyond it the oldest are dropped.
WAITING = 10_000
# The same event within this time is counted, not repeated; Kubernetes keeps events for an hour.
SERIES = timedelta(minutes=30)
# A run that fails in a loop does not flood the namespace.
BURST, REFILL_SECONDS = 30, 20.0


@dataclass(slots=True)
class _Told:
    name: str
    count: int
    at: datetime


@dataclass(slots=True)
class _Bucket:
    left: float
    at: datetime


class Recorder:
    """Writes events; a failure to do so never disturbs a run."""

    def __init__(
        self,
        client: Client,
        instance: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._instance = instance
        self._clock = clock
        self._told: OrderedDict[tuple[str, str, str], _Told] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._waiting: deque[tuple[Mapping[str, Any], Event, datetime]] = deque(maxlen=WAITING)
        self._any = asyncio.Event()

    def note(self, about: Mapping[str, Any], event: Event) -> None:
        """Have an event written when there is time: what moves runs does not wait for words."""
        self._waiting.append((about, event, self._clock()))
        self._any.set()

    async def write(self, has_time: Callable[[], Awaitable[None]]) -> None:
        """Write what was noted, for ever; `has_time` returns when nothing else is more urgent."""
        while True:
            await self._any.wait()
            while self._waiting:
                await has_time()
                await self.record(*self._waiting.popleft())
            self._any.clear()

    async def record(
        self, about: Mapping[str, Any], event: Event, at: datetime | None = None
    ) -> None:
        """Write an event about an object, or count the one that says the same."""
        now = at or self._clock()
        uid = about["metadata"]["uid"]
        mark = (uid, event.reason, hashlib.sha256(event.message.encode()).hexdigest())
        known = self._told.get(mark)
        if not self._may_speak(uid, now):
            return
        try:
            if (
                known is not None
                and now - known.at < SERIES
                and await self._count(about, known, now)
            ):
                return
            self._told[mark] = await self._create(about, event, now)
        except ApiError as error:
            LOG.warning("event not written: %s", error)
        self._trim()

    async def _count(self, about: Mapping[str, Any], known: _Told, now: datetime) -> bool:
        count = known.count + 1
        series = {"series": {"count": count, "lastObservedTime": _micro(now)}}
        try:
            await self._client.patch(EVENTS, about["metadata"]["namespace"], known.name, series)
        except ApiError as error:
            if error.code == NOT_FOUND:
                return False
            raise
        known.count, known.at = count, now
        WRITES.labels("event").inc()
        return True

    async def _create(self, about: Mapping[str, Any], event: Event, now: datetime) -> _Told:
        metadata = about["metadata"]
        stamp = f"{int(now.timestamp() * 1e6):x}"
        name = f"{metadata['name']}.{stamp}.{event.reason.lower()[:20]}"
        note = event.message.encode()[:NOTE_BYTES].decode(errors="ignore")
        await self._client.create(
            EVENTS,
            {
                "apiVersion": EVENTS.version,
                "kind": "Event",
                "metadata": {"name": name, "namespace": metadata["namespace"]},
                "eventTime": _micro(now),
                "type": event.type,
                "reason": event.reason.value,
                "action": event.action,
                "note": note,
                "reportingController": f"{names.GROUP}/operator",
                "reportingInstance": self._instance[:128],
                "regarding": {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KIND,
                    "name": metadata["name"],
                    "namespace": metadata["namespace"],
                    "uid": metadata["uid"],
                    "resourceVersion": metadata.get("resourceVersion", ""),
                },
            },
        )
        WRITES.labels("event").inc()
        return _Told(name, 1, now)

    def _may_speak(self, uid: str, now: datetime) -> bool:
        bucket = self._buckets.pop(uid, _Bucket(BURST, now))
        earned = (now - bucket.at).total_seconds() / REFILL_SECONDS
        left = min(float(BURST), bucket.left + earned)
        self._buckets[uid] = _Bucket(max(0.0, left - 1), now)
        return left >= 1

    def _trim(self) -> None:
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        while len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)


def _micro(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
