"""The settings of the administrator, and the nodes that each pool finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import ValidationError

from uncensor_operator.cli.cluster.connection import Object
from uncensor_operator.cli.cluster.doctor.findings import (
    Examined,
    Finding,
    ok,
    problem,
    unknown,
    warning,
)
from uncensor_operator.errors import ClusterError
from uncensor_operator.settings import DEFAULT_PATH, Pool, Settings

_NODES, _PODS = "/api/v1/nodes", "/api/v1/pods"
_OVER = ("Succeeded", "Failed")


def pools(examined: Examined) -> Iterator[Finding]:
    """Check the settings file and, for each pool, nodes and free GPUs."""
    if examined.operator is None:
        yield warning(
            "settings", "not looked at, because no operator was found", "see operator above"
        )
        return
    name = settings_claim(examined.operator)
    space = str(examined.operator["metadata"]["namespace"])
    if name is None:
        yield problem(
            "settings",
            "the operator's Deployment mounts no ConfigMap with settings",
            "install the operator with the chart, which makes one from its values",
        )
        return
    found = examined.connection.get(f"/api/v1/namespaces/{space}/configmaps/{name}")
    try:
        settings = Settings.model_validate(yaml.safe_load(_text(found)))
    except (yaml.YAMLError, ValidationError) as error:
        yield problem(
            "settings",
            f"ConfigMap {space}/{name} cannot be read by this program: {_first_line(error)}",
            "correct it in the chart's values, or bring program and operator to one release",
        )
        return
    yield ok("settings", f"ConfigMap {space}/{name}: {len(settings.pools)} pools")
    for pool in settings.pools:
        yield from _pool(examined, pool)


def settings_claim(deployment: Object) -> str | None:
    """Return the ConfigMap that is mounted where the operator reads its settings."""
    spec = deployment["spec"]["template"]["spec"]
    maps = {
        str(volume["name"]): str(volume["configMap"]["name"])
        for volume in spec.get("volumes") or []
        if "configMap" in volume
    }
    for container in spec["containers"]:
        for mount in container.get("volumeMounts") or []:
            path = str(mount.get("mountPath", "")).rstrip("/")
            if path in (str(DEFAULT_PATH), str(DEFAULT_PATH.parent)) and mount["name"] in maps:
                return maps[mount["name"]]
    return next(iter(maps.values()), None)


def _text(config_map: Object) -> str:
    data = config_map.get("data") or {}
    return str(data.get(DEFAULT_PATH.name) or next(iter(data.values()), ""))


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return " ".join(str(error).split())[:200]


def _pool(examined: Examined, pool: Pool) -> Iterator[Finding]:
    subject = f"pool {pool.name}"
    nodes = [node for node in examined.listed(_NODES) if matches(pool, node)]
    usable = [node for node in nodes if is_usable(pool, node)]
    if not nodes:
        labels = ", ".join(f"{key}={'|'.join(values)}" for key, values in pool.node_labels.items())
        yield warning(
            subject,
            f"no node has the labels {labels}" if labels else "there are no nodes",
            "fine where nodes are made on demand; else label the nodes, or correct nodeLabels",
        )
    elif not usable:
        yield problem(
            subject,
            f"{len(nodes)} nodes match, but none is ready, open and free of other taints",
            "kubectl describe nodes: uncordon them, or give the pool the tolerations it needs",
        )
    elif pool.resource is None:
        yield ok(subject, f"{len(usable)} of {len(nodes)} matching nodes are usable; no GPUs")
    else:
        yield _gpus(examined, pool, usable)


def matches(pool: Pool, node: Object) -> bool:
    """Whether a node has every label of a pool, with an accepted value."""
    labels = node["metadata"].get("labels") or {}
    return all(labels.get(key) in values for key, values in pool.node_labels.items())


def is_usable(pool: Pool, node: Object) -> bool:
    """Whether pods of a pool would be placed on a node that has room."""
    spec, conditions = node.get("spec") or {}, (node.get("status") or {}).get("conditions") or []
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    hard = [one for one in spec.get("taints") or [] if one.get("effect") != "PreferNoSchedule"]
    return ready and not spec.get("unschedulable") and all(_tolerated(pool, one) for one in hard)


def _tolerated(pool: Pool, taint: Any) -> bool:
    return any(
        one.key in (None, taint.get("key"))
        and one.effect in (None, taint.get("effect"))
        and (one.operator == "Exists" or one.value == taint.get("value", ""))
        for one in pool.tolerations
    )


def _gpus(examined: Examined, pool: Pool, nodes: list[Object]) -> Finding:
    subject, resource = f"pool {pool.name}", str(pool.resource)
    there = {str(node["metadata"]["name"]): _offered(node, resource) for node in nodes}
    total = sum(there.values())
    if total == 0:
        return problem(
            subject,
            f"{len(nodes)} nodes match, but none offers {resource}",
            "install the vendor's device plugin (or GPU operator), or correct the pool's resource",
        )
    try:
        taken = sum(_taken(pod, resource) for pod in examined.listed(_PODS) if _holds(pod, there))
    except ClusterError as error:
        return unknown(subject, error)
    free = f"{total - taken} of {total} GPUs free on {len(nodes)} nodes"
    largest = max(there.values())
    if largest < pool.gpus:
        return warning(
            subject,
            f"{free}; the pool promises {pool.gpus} GPUs a node, the largest node has {largest}",
            "correct gpus of the pool: runs that take a whole node will wait for ever",
        )
    return ok(subject, free)


def _offered(node: Object, resource: str) -> int:
    return int(((node.get("status") or {}).get("allocatable") or {}).get(resource, 0))


def _holds(pod: Object, nodes: dict[str, int]) -> bool:
    phase = (pod.get("status") or {}).get("phase")
    return pod["spec"].get("nodeName") in nodes and phase not in _OVER


def _taken(pod: Object, resource: str) -> int:
    containers = pod["spec"]["containers"]
    requests = [(one.get("resources") or {}).get("requests") or {} for one in containers]
    return sum(int(request.get(resource, 0)) for request in requests)
