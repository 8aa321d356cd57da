"""kopf's part: list, watch, tell. Every event only updates the store and marks a run dirty.

Nothing that matters hangs on kopf's own timers, retries or memory: an error in one of its patches
would silence them for good. It writes nothing here, because no handler returns or patches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kopf

from uncensor_operator import names
from uncensor_operator.cluster.resources import RUNS, SELECTOR, WATCHED, Resource
from uncensor_operator.cluster.store import Key, Store
from uncensor_operator.settings import Settings

Marked = Callable[[Key], None]


def registry(store: Store, mark: Marked, alive: Callable[[], None]) -> kopf.OperatorRegistry:
    """Return kopf's handlers: one an event, for runs and for what belongs to them."""
    found = kopf.OperatorRegistry()
    kopf.on.login(registry=found)(_login)
    for resource in (RUNS, *WATCHED):
        _watch(found, resource, store, mark, alive)
    return found


def _login(**given: Any) -> kopf.ConnectionInfo | None:
    """Read the credentials again whenever kopf asks: tokens of pods are renewed every hour."""
    return kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)


def _watch(
    found: kopf.OperatorRegistry,
    resource: Resource,
    store: Store,
    mark: Marked,
    alive: Callable[[], None],
) -> None:
    group, _, version = resource.version.rpartition("/")

    async def seen(event: Any, **_: Any) -> None:
        alive()
        raw = dict(event["object"])
        change = store.remove if event["type"] == "DELETED" else store.put
        key = change(resource, raw)
        if key is not None:
            mark(key)

    kopf.on.event(group, version, resource.plural, id=resource.plural, registry=found)(seen)


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """Return kopf's settings: what is ours only, patience with servers, nothing written."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.scanning.disabled = True
    found.peering.standalone = True
    found.watching.server_timeout = 300
    found.watching.client_timeout = 330
    found.watching.connect_timeout = 10
    found.watching.chunk_size = 100
    found.networking.request_timeout = settings.engine.request_seconds
    found.networking.connect_timeout = 5
    found.execution.max_workers = 4
    # kopf holds the last version of an object for so long, for the case that another one comes.
    # Its default of 5 s keeps the whole first list of thousands in memory.
    found.queueing.idle_timeout = 0.2
    found.process.ultimate_exiting_timeout = 20
    found.persistence.finalizer = names.FINALIZER
    found.persistence.diffbase_storage = _NoBase()
    found.persistence.progress_storage = _NoProgress()
    for resource in WATCHED:
        found.watching.label_selectors[resource.plural] = SELECTOR
    return found


class _NoBase(kopf.DiffBaseStorage):
    """No handler of ours asks what has changed, so nothing is copied to find that out.

    kopf's own storage copies every object of every event; that was a quarter of the time that this
    process spent while 300 runs began (docs/adr/0055).
    """

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        pass


class _NoProgress(kopf.ProgressStorage):
    """Likewise: handlers of events have no progress that would have to be kept."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        pass

    def purge(self, **_: Any) -> None:
        pass

    def touch(self, **_: Any) -> None:
        pass

    def clear(self, *, essence: Any) -> Any:
        return essence
