"""Where pods run and what they get: from a pool of the administrator to a pod's fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from uncensor_operator.api.v1alpha1 import Spec, StageResources, TrainingResources
from uncensor_operator.names import Reason, StageName
from uncensor_operator.quantities import quantity_bytes
from uncensor_operator.settings import Pool, Settings

TRAINING = frozenset({StageName.TRAIN, StageName.TRAIN_CONTROL, StageName.ALIGN})
_UNREACHABLE = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a run cannot go on as things are; it goes on by itself once they change."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Room:
    """What one pod gets.

    Attributes:
        cpus: requested; there is no limit, so that idle cores are used.
        memory: bytes, requested and the limit.
        gpus: of the pool's resource.
        shared_memory: bytes of /dev/shm, part of `memory`.
    """

    cpus: float
    memory: int
    gpus: int
    shared_memory: int


def pool_of(spec: Spec, settings: Settings) -> Pool | Obstacle:
    """Return the pool of a run, or why there is none."""
    wanted, compute = spec.compute.pool, spec.compute
    pool = settings.pool(wanted)
    if pool is None:
        known = ", ".join(one.name for one in settings.pools)
        return Obstacle(
            Reason.UNKNOWN_POOL,
            f"compute.pool is {wanted!r}, but the administrator offers: {known}. Use one of them, "
            "or ask for the pool to be added to the operator's settings.",
        )
    if compute.gpus_per_node > pool.gpus:
        has = f"{pool.gpus} GPUs" if pool.gpus else "no GPUs"
        return Obstacle(
            Reason.UNKNOWN_POOL,
            f"compute.gpusPerNode is {compute.gpus_per_node}, but a node of pool {pool.name!r} has "
            f"{has}. Lower it (0 trains on CPUs), or choose another pool.",
        )
    return pool


def training_room(spec: Spec, pool: Pool) -> Room:
    """Return what each pod of a training gets: the node's share of its GPUs."""
    share = spec.compute.gpus_per_node / pool.gpus if pool.gpus else 1
    given = spec.compute.stages.train or TrainingResources()
    return Room(
        cpus=given.cpus or pool.cpus * share,
        memory=quantity_bytes(given.memory) if given.memory else _share(pool.memory, share),
        gpus=spec.compute.gpus_per_node,
        shared_memory=_share(pool.shared_memory, share),
    )


def stage_room(stage: StageName, spec: Spec, pool: Pool, settings: Settings) -> Room:
    """Return what the pod of a stage that trains nothing gets."""
    usual = settings.stage(stage)
    given = getattr(spec.compute.stages, stage.value) or StageResources()
    gpus = usual.gpus if given.gpus is None else given.gpus
    # A run that trains on CPUs has no GPUs for its other stages either.
    allowed = min(gpus, pool.gpus) if spec.compute.gpus_per_node else 0
    memory = quantity_bytes(given.memory or usual.memory)
    return Room(given.cpus or usual.cpus, memory, allowed, min(2**30, memory // 4))


def resources(room: Room, pool: Pool) -> dict[str, Any]:
    """Return a container's requests and limits."""
    requests: dict[str, Any] = {"cpu": _cpu(room.cpus), "memory": str(room.memory)}
    limits: dict[str, Any] = {"memory": str(room.memory)}
    if room.gpus and pool.resource:
        requests[pool.resource] = limits[pool.resource] = str(room.gpus)
    return {"requests": requests, "limits": limits}


def placement(pool: Pool, settings: Settings, *, on_pool: bool) -> dict[str, Any]:
    """Return the fields of a pod that decide on its node.

    `on_pool` is false for stages that need none of the pool's GPUs: they leave its nodes to those
    that do, unless the pool has none anyway.
    """
    chosen = on_pool or not pool.gpus
    fields: dict[str, Any] = {"tolerations": [*_leaves_lost_nodes(settings)]}
    if chosen and pool.node_labels:
        terms = [
            {"key": key, "operator": "In", "values": list(values)}
            for key, values in sorted(pool.node_labels.items())
        ]
        required = {"nodeSelectorTerms": [{"matchExpressions": terms}]}
        fields["affinity"] = {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}
        }
    if chosen:
        fields["tolerations"] += [
            one.model_dump(by_alias=True, exclude_none=True) for one in pool.tolerations
        ]
    if chosen and pool.runtime_class and on_pool:
        fields["runtimeClassName"] = pool.runtime_class
    if settings.priority_class:
        fields["priorityClassName"] = settings.priority_class
    return fields


def _leaves_lost_nodes(settings: Settings) -> list[dict[str, Any]]:
    """Kubernetes' own default is to wait five minutes for a node that does not answer."""
    seconds = round(settings.cleaning.unreachable_seconds)
    return [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
        for key in _UNREACHABLE
    ]


def _share(quantity: str, share: float) -> int:
    return int(quantity_bytes(quantity) * share)


def _cpu(cores: float) -> str:
    return f"{round(cores * 1000)}m"
