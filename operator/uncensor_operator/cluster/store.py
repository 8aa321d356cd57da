"""What the watches have shown: the newest version of every object that belongs to runs.

Filled by a list at the start, then by kopf's watches and by the answers to our own writes, so that
a pass right after a write sees what it wrote. An older version never replaces a newer one.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from uncensor_operator.cluster.resources import (
    CONFIG_MAPS,
    JOBS,
    PODS,
    POLICIES,
    PYTORCHJOBS,
    RUNS,
    Resource,
)
from uncensor_operator.names import Label

Object = dict[str, Any]
# Their contents are ours already; keeping them for thousands of runs would cost for nothing.
NAMES_ONLY = frozenset({CONFIG_MAPS, POLICIES})
# All that a pass reads of their specs.
_LOOKED_AT = {
    JOBS.kind: ("suspend",),
    PYTORCHJOBS.kind: ("runPolicy",),
    PODS.kind: ("nodeName",),
}
# Large, and never looked at.
_DROPPED = ("managedFields",)
# Deletions; a late answer comes within seconds.
REMEMBERED = 4096


class Key(NamedTuple):
    """A run, by namespace and name."""

    namespace: str
    name: str


class Store:
    """Objects by the run that they belong to."""

    def __init__(self) -> None:
        self._runs: dict[Key, Object] = {}
        self._parts: dict[Key, dict[tuple[str, str], Object]] = defaultdict(dict)
        self._removed: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._departed: dict[Key, dict[str, Object]] = {}

    def put(self, resource: Resource, raw: Object) -> Key | None:
        """Take in a version of an object; return its run when it brought something new."""
        key = key_of(resource, raw)
        if key is None:
            return None
        metadata = raw["metadata"]
        place = self._parts[key]
        slot = (resource.kind, metadata["name"])
        if not _is_news(raw, place.get(slot)) or self._was_removed(resource, raw):
            return None
        place[slot] = _slim(resource, raw)
        if resource is RUNS:
            self._runs[key] = place[slot]
        return key

    def remove(self, resource: Resource, raw: Object) -> Key | None:
        """Forget an object that was deleted, unless another of its name took its place."""
        key = key_of(resource, raw)
        if key is None:
            return None
        slot = (resource.kind, raw["metadata"]["name"])
        place = self._parts[key]
        known = place.get(slot)
        self._bury(resource, raw)
        if resource is PODS:
            self._keep_last_words(key, raw)
        if known is None or known["metadata"].get("uid") == raw["metadata"].get("uid"):
            place.pop(slot, None)
            if resource is RUNS:
                self._runs.pop(key, None)
                self._departed.pop(key, None)
            self._tidy(key)
        return key

    def _keep_last_words(self, key: Key, raw: Object) -> None:
        """A pod that was deleted tells why its attempt failed, for as long as that is open."""
        ended = [
            state
            for one in raw.get("status", {}).get("containerStatuses", ())
            if (state := one.get("state", {}).get("terminated"))
        ]
        if not ended:
            return
        failed = any(state.get("exitCode") != 0 for state in ended)
        last = _slim(PODS, raw)
        last["status"] = {**last["status"], "phase": "Failed" if failed else "Succeeded"}
        self._departed.setdefault(key, {})[raw["metadata"]["uid"]] = last

    def departed(self, key: Key, living: Collection[str]) -> Iterator[Object]:
        """Yield pods that are gone, of children that are not; forget those of other children."""
        known = self._departed.get(key, {})
        for uid, raw in list(known.items()):
            owners = {one.get("uid") for one in raw["metadata"].get("ownerReferences", ())}
            if owners & set(living):
                yield raw
            else:
                del known[uid]
        if not known:
            self._departed.pop(key, None)

    def _bury(self, resource: Resource, raw: Object) -> None:
        """Remember a deletion: the answer to an earlier write of ours may come after it."""
        self._removed[resource.kind, raw["metadata"].get("uid", "")] = _version(raw)
        while len(self._removed) > REMEMBERED:
            self._removed.popitem(last=False)

    def _was_removed(self, resource: Resource, raw: Object) -> bool:
        removed = self._removed.get((resource.kind, raw["metadata"].get("uid", "")))
        # An object that only lost its label, and has it again, is newer.
        return removed is not None and _version(raw) <= removed

    def run(self, key: Key) -> Object | None:
        """Return the run's object."""
        return self._runs.get(key)

    def parts(self, key: Key, resource: Resource) -> Iterator[Object]:
        """Yield the objects of a kind that carry the run's label."""
        for (kind, _), raw in self._parts.get(key, {}).items():
            if kind == resource.kind:
                yield raw

    def part(self, key: Key, resource: Resource, name: str) -> Object | None:
        """Return one of them."""
        return self._parts.get(key, {}).get((resource.kind, name))

    def uids(self, resource: Resource) -> dict[str, Object]:
        """Return all objects of a kind, by their identity."""
        return {
            raw["metadata"].get("uid", ""): raw
            for parts in self._parts.values()
            for (kind, _), raw in parts.items()
            if kind == resource.kind
        }

    def is_new(self, key: Key) -> bool:
        """Tell whether no pass over this run has written anything yet."""
        return not self._runs.get(key, {}).get("status", {}).get("startedAt")

    def known(self) -> tuple[Key, ...]:
        """Return every run that exists."""
        return tuple(self._runs)

    def _tidy(self, key: Key) -> None:
        if key in self._parts and not self._parts[key]:
            del self._parts[key]


def key_of(resource: Resource, raw: Object) -> Key | None:
    """Return the run that an object belongs to; None for an object that carries no label."""
    metadata = raw["metadata"]
    namespace = metadata.get("namespace", "")
    if resource is RUNS:
        return Key(namespace, metadata["name"])
    run = metadata.get("labels", {}).get(Label.RUN)
    return Key(namespace, run) if run else None


def _slim(resource: Resource, raw: Object) -> Object:
    """What passes look at: pod templates, by far the largest part, are written and never read."""
    metadata = {key: value for key, value in raw["metadata"].items() if key not in _DROPPED}
    if resource in NAMES_ONLY:
        return {"kind": resource.kind, "metadata": metadata}
    slim = {**raw, "kind": resource.kind, "metadata": metadata}
    if resource.kind in _LOOKED_AT:
        spec, wanted = raw.get("spec", {}), _LOOKED_AT[resource.kind]
        slim["spec"] = {name: spec[name] for name in wanted if name in spec}
    return slim


def _is_news(raw: Object, known: Object | None) -> bool:
    """Versions of one kind are comparable numbers (documented since Kubernetes 1.35).

    Also those of an object and of its successor under the same name. The version that is known
    comes again as the echo of our own write, and for every object when a watch begins anew.
    """
    return known is None or not _version(raw) or _version(raw) > _version(known)


def _version(raw: Object) -> int:
    text = raw["metadata"].get("resourceVersion", "")
    return int(text) if text.isdigit() else 0
