"""Fake nodes without taints, volumes for many claims, and what kwok does with pods."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measuring import Connection, Object

from cluster import control_plane
from cluster.boxes import PATIENCE, await_true
from cluster.clusters import Cluster, fake_node
from cluster.volumes import CLASS, CLASSES, VOLUMES, a_volume, storage_class

THREADS = 4
ROOM = {"cpu": "1000", "memory": "4Ti", "pods": "2000"}


def add_nodes(cluster: Cluster, count: int) -> None:
    """Nodes that take any pod: there is no real one that it could be kept from."""
    for index in range(count):
        node = fake_node(f"fake-{index}")
        node["spec"] = {}
        node["status"] = {"allocatable": ROOM, "capacity": ROOM}
        cluster.api.apply(f"/api/v1/nodes/fake-{index}", node)
    await_true(f"{count} fake nodes", PATIENCE, lambda: cluster.ready_nodes("fake") >= count)


def add_namespace(cluster: Cluster, name: str) -> None:
    about = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.api.apply(f"/api/v1/namespaces/{name}", about)


def add_volumes(cluster: Cluster, namespace: str, runs: list[str]) -> None:
    """A volume for the claim of each run."""
    cluster.api.apply(f"{CLASSES}/{CLASS}", storage_class())
    folder = Path("/nonexistent")
    volumes = [
        a_volume(f"{namespace}-{run}", folder, namespace, f"{run}-workspace", "2Ti") for run in runs
    ]
    create_all(cluster, [(VOLUMES, volume) for volume in volumes])


def create_all(cluster: Cluster, wanted: list[tuple[str, Object]]) -> None:
    """Create objects over a few kept connections."""

    def create(share: list[tuple[str, Object]]) -> None:
        connection = Connection(cluster.api)
        for path, body in share:
            connection.send("POST", path, body)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(create, [wanted[n::THREADS] for n in range(THREADS)]))


def never_complete(cluster: Cluster) -> None:
    """Let kwok's pods run for ever, those of Jobs too."""
    stages = cluster.place.secrets / "kwok.yaml"
    whole = control_plane.kwok_stages(cluster.programs.kwok_stages).split("\n---\n")
    stages.write_text("\n---\n".join(one for one in whole if "name: pod-complete" not in one))
    cluster.box.signal("kwok", signal.SIGKILL)
    await_true("kwok's end", PATIENCE, lambda: cluster.box.programs()["kwok"]["exit"] is not None)
    cluster.box.restart("kwok")
