"""Warnings that others have told about objects of runs: one list for a namespace, asked for rarely.

The API server looks through all events of a namespace for every request that selects some of them.
A thousand pods that wait, each asked about by itself, kept it busy with nothing else.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from uncensor_operator.cluster.client import FORBIDDEN, ApiError, Client, Object
from uncensor_operator.cluster.resources import CORE_EVENTS
from uncensor_operator.plan.times import read_time
from uncensor_operator.plan.world import WarningEvent

# How old a list may be; a long one costs more, and is used for longer.
FRESH_SECONDS = 2.0
SECONDS_AN_EVENT = 0.01
# What nobody asks for any more may be of a namespace that is gone.
KEPT_SECONDS = 60.0
NEVER = float("-inf")


@dataclass(slots=True)
class _Page:
    """What one namespace's events said.

    Attributes:
        asked: when, on the book's clock.
        found: warnings by Kind/name, oldest first.
    """

    asked: float = NEVER
    count: int = 0
    found: Mapping[str, tuple[WarningEvent, ...]] = field(default_factory=dict)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def fresh_seconds(self) -> float:
        return FRESH_SECONDS + SECONDS_AN_EVENT * self.count


class EventBook:
    """Warnings by the object that they are about."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._pages: dict[str, _Page] = defaultdict(_Page)

    def __len__(self) -> int:
        """Number of namespaces whose warnings are kept."""
        return len(self._pages)

    async def about(self, namespace: str, thing: str) -> tuple[WarningEvent, ...]:
        """Return the warnings about a Kind/name, oldest first; none where we may not read them.

        Raises:
            ApiError: the API server did not answer.
        """
        page = self._pages[namespace]
        async with page.asking:
            if self._clock() - page.asked > page.fresh_seconds:
                found = await self._asked(namespace)
                page.found, page.count = _by_thing(found), len(found)
                page.asked = self._clock()
                self._drop_old()
        return page.found.get(thing, ())

    def _drop_old(self) -> None:
        for namespace, page in list(self._pages.items()):
            kept = KEPT_SECONDS + page.fresh_seconds
            if self._clock() - page.asked > kept and not page.asking.locked():
                del self._pages[namespace]

    async def _asked(self, namespace: str) -> list[Object]:
        try:
            return await self._client.list(CORE_EVENTS, namespace, fieldSelector="type=Warning")
        except ApiError as error:
            if error.code == FORBIDDEN:
                return []
            raise


def _by_thing(raws: list[Object]) -> dict[str, tuple[WarningEvent, ...]]:
    found: dict[str, list[WarningEvent]] = defaultdict(list)
    for raw in raws:
        about = raw.get("involvedObject", {})
        thing = f"{about.get('kind', '')}/{about.get('name', '')}"
        moment = raw.get("lastTimestamp") or raw.get("eventTime")
        seen_at = read_time(moment or raw["metadata"]["creationTimestamp"])
        found[thing].append(
            WarningEvent(thing, raw.get("reason", ""), raw.get("message", ""), seen_at)
        )
    return {thing: tuple(sorted(some, key=_moment)) for thing, some in found.items()}


def _moment(event: WarningEvent) -> datetime:
    return event.seen_at or datetime.min.replace(tzinfo=UTC)
