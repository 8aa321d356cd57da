"""A living cluster, as tests see it: its API, its rights, its nodes, its programs."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from cluster import cgroups, images, keeper
from cluster.api import Api, Object
from cluster.boxes import PATIENCE, Box, await_true
from cluster.credentials import kubeconfig
from cluster.errors import ClusterError
from cluster.node import Node
from cluster.places import Place
from cluster.programs import Programs

NODES = "/api/v1/nodes"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a cluster consists of besides its control plane."""

    nodes: int = 1
    """Real nodes (kubelet and containerd), 0 to 8; with 0 there is no proxy and no DNS either."""
    kwok: bool = False
    """Whether kwok plays fake nodes, which `Cluster.add_fake_nodes` makes."""

    def __str__(self) -> str:
        real = f"{self.nodes} node{'s' * (self.nodes != 1)}" if self.nodes else "control plane only"
        return real + (" and kwok" if self.kwok else "")


@dataclass(slots=True)
class Cluster:
    """A living cluster."""

    place: Place
    shape: Shape
    server: str
    """The API's address on this machine."""
    token: str
    """The administrator's."""
    programs: Programs
    kept_by: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    """Its keeper, when it ends with this process; None when it outlives it."""

    @property
    def kubeconfig(self) -> Path:
        return self.place.kubeconfig

    @property
    def api(self) -> Api:
        """A client with an administrator's rights."""
        return Api(self.server, self.place.secrets / "ca.crt", self.token)

    @property
    def box(self) -> Box:
        """The control plane's programs: `box.signal("kube-apiserver", SIGKILL)` is an outage."""
        return Box(self.place.box, self.place.logs, self.programs.environment())

    def node(self, index: int = 1) -> Node:
        return Node(self.place, index)

    def node_box(self, index: int = 1) -> Box:
        """The programs of a node: containerd and kubelet."""
        return Box(self.node(index).folder, self.place.logs, self.programs.environment())

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """The output of kubectl as administrator; its complaint is in the error."""
        done = subprocess.run(
            [self.programs.path("kubectl"), "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            words = " ".join(str(word) for word in arguments)
            raise ClusterError(f"`kubectl {words}` said: {done.stderr.strip()}")
        return done.stdout

    def account_token(self, namespace: str, account: str) -> str:
        """A token with exactly the rights of a service account, good for a day."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        made = self.api.create(path, {"spec": {"expirationSeconds": 24 * 3600}})
        return str(made["status"]["token"])

    def account_api(self, namespace: str, account: str) -> Api:
        """A client with exactly the rights of a service account."""
        token = self.account_token(namespace, account)
        return Api(self.server, self.place.secrets / "ca.crt", token)

    def account_kubeconfig(self, namespace: str, account: str, path: Path) -> Path:
        """Write a kubeconfig with exactly the rights of a service account."""
        authority = self.place.secrets / "ca.crt"
        token = self.account_token(namespace, account)
        kubeconfig(path, server=self.server, authority=authority, token=token)
        return path

    def load(self, archive: Path) -> None:
        """Import a docker- or OCI-archive into every node."""
        for index in range(1, self.shape.nodes + 1):
            socket = self.node(index).containerd_socket
            images.import_image(self.programs, socket, images.Archive(archive))

    def have(self, image: images.LayeredImage) -> None:
        """Import an image of the project into every node that lacks it; only the missing layers."""
        for index in range(1, self.shape.nodes + 1):
            socket = self.node(index).containerd_socket
            if not images.holds(self.programs, socket, image):
                images.import_image(self.programs, socket, image)

    def add_fake_nodes(self, count: int, prefix: str = "fake") -> None:
        """Make nodes that kwok plays; they run any pod that tolerates `kwok.x-k8s.io/node`."""
        for index in range(count):
            self.api.apply(f"{NODES}/{prefix}-{index}", fake_node(f"{prefix}-{index}"))
        await_true(f"{count} fake nodes", PATIENCE, lambda: self.ready_nodes(prefix) >= count)

    def ready_nodes(self, prefix: str = "") -> int:
        """How many nodes with this prefix are ready."""
        return sum(
            node["metadata"]["name"].startswith(prefix) and is_ready(node)
            for node in self.api.items(NODES)
        )

    def lose_node(self, index: int) -> None:
        """Kill a node with everything on it, as a power cut does."""
        node = self.node(index)
        self.box.signal(node.name, signal.SIGKILL)
        await_true(
            f"The end of {node.name}",
            30,
            lambda: self.box.programs()[node.name]["exit"] is not None,
        )

    def start_node(self, index: int) -> None:
        """Start a node, new or lost, and wait until it is ready."""
        node = self.node(index)
        if node.name in self.box.programs():
            node.forget_run()
            self.box.restart(node.name)
        else:
            self.box.start(node.name, node.argv())
        await_true(f"The box of {node.name}", PATIENCE, (node.folder / "box.sock").exists)
        inner = self.node_box(index)
        cgroups.make(node.cgroup)
        inner.start(f"{node.name}.containerd", node.containerd(self.programs))
        await_true(f"containerd of {node.name}", PATIENCE, node.containerd_socket.exists)
        inner.start(f"{node.name}.kubelet", node.kubelet(self.programs))

    def keep(self) -> None:
        """Let the cluster outlive this process."""
        if self.kept_by is not None:
            assert self.kept_by.stdin is not None
            self.kept_by.stdin.write(keeper.KEEP)
            self.kept_by.stdin.close()
            self.kept_by = None

    def end(self) -> None:
        """End a cluster that this process started and did not keep; others go on."""
        if self.kept_by is not None:
            with self.kept_by:  # closes its standard input, for which it waits, and then waits
                pass
            self.kept_by = None
            keeper.await_end(self.place)


def is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def fake_node(name: str) -> Object:
    room = {"cpu": "96", "memory": "880Gi", "pods": "110", "nvidia.com/gpu": "4"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name},
        },
        # Real pods stay away from nodes where nothing would run them.
        "spec": {
            "taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]
        },
        "status": {"allocatable": room, "capacity": room},
    }
