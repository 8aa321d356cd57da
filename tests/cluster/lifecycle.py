"""`up`, `down` and `status`: the story of a cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any

from cluster import control_plane, images, keeper, network, training_operator
from cluster.api import Api, ApiError
from cluster.boxes import PATIENCE, Box, await_true, box_argv
from cluster.clusters import Cluster, Shape
from cluster.credentials import ADMIN, certificates, kubeconfig, node_identity, tokens
from cluster.errors import ClusterError
from cluster.node import Node
from cluster.places import HERE, Place
from cluster.programs import Programs, Say, kubernetes_version, prepare


def obstacle() -> str | None:
    """Why this machine cannot run a cluster, in one line; None when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "A test cluster needs namespaces and control groups: run as root on Linux."
    for program in ("go", "apt-get", "dpkg-deb", "openssl", "unshare", "setpriv", "mount"):
        if shutil.which(program) is None:
            return f"A test cluster needs the program {program}, which is not installed."
    return None


def up(
    name: str, shape: Shape | None, say: Say, more_images: Sequence[images.Image] = ()
) -> Cluster:
    """Start the cluster `name` or find it running; with None for `shape`, any that runs will do.

    The cluster ends with this process unless the caller `keep`s it or it ran before. The nodes of
    a new one start with all images that any cluster was given, and with `more_images`.
    """
    place = Place(name)
    place.check()
    if reason := obstacle():
        raise ClusterError(reason)
    programs = prepare(say)
    wanted = [*images.basic_images(programs), *more_images]
    lock = place.try_lock()
    if lock is None:
        return running(place, shape, programs)
    with lock:
        keeper.sweep(place)
        cluster = opened(place, shape or Shape(), programs, lock)
    try:
        start(cluster, wanted, say)
    except BaseException as error:
        cluster.end()
        if isinstance(error, ClusterError):
            raise ClusterError(f"{error}\nLogs are in {place.logs}.") from error
        raise
    return cluster


def running(place: Place, shape: Shape | None, programs: Programs) -> Cluster:
    """The cluster that runs already; an error if it is another than wanted."""
    await_true(f"The start of {place.name} by someone else", PATIENCE, place.facts.exists)
    facts = json.loads(place.facts.read_text())
    found = Shape(**facts["shape"])
    if shape not in {None, found}:
        raise ClusterError(
            f"The cluster {place.name} runs with {found}, wanted is {shape}. "
            "Run `make cluster-down` first, or name another cluster."
        )
    cluster = Cluster(place, found, facts["server"], facts["token"], programs)
    if not cluster.api.answers():
        raise ClusterError(
            f"The cluster {place.name} runs but its API does not answer. Logs are in {place.logs}; "
            "run `make cluster-down` and `make cluster-up`."
        )
    return cluster


def opened(place: Place, shape: Shape, programs: Programs, lock: IO[str]) -> Cluster:
    """Make the credentials and an empty box with a keeper."""
    for folder in (place.secrets, place.logs, place.box):
        folder.mkdir(parents=True, exist_ok=True)
    for log in place.logs.iterdir():
        log.unlink()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        server = f"https://127.0.0.1:{listener.getsockname()[1]}"
        token = write_credentials(place, shape, server)
        relay = [str(listener.fileno()), control_plane.BRIDGE, str(control_plane.API_PORT)]
        addresses = [Node(place, index).address for index in range(1, shape.nodes + 1)]
        script = network.setup(programs, addresses)
        box = box_argv(place.box, network=True, setup=script, relay=relay)
        descriptors = [listener.fileno(), lock.fileno()]
        # Its own session: Ctrl-C at the terminal reaches `up`, which then ends the keeper.
        with (place.logs / "keeper.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "cluster.keeper", place.name, *map(str, descriptors), *box],
                env=os.environ | programs.environment() | {"PYTHONPATH": str(HERE.parent)},
                pass_fds=descriptors,
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )
    return Cluster(place, shape, server, token, programs, process)


def write_credentials(place: Place, shape: Shape, server: str) -> str:
    """Write keys, tokens and every program's kubeconfig; the administrator's token."""
    certificates(place.secrets)
    nodes = [node_identity(Node(place, index).name) for index in range(1, shape.nodes + 1)]
    programs = control_plane.PROGRAM_IDENTITIES
    made = tokens(place.secrets, (ADMIN, *programs, *nodes))
    authority = place.secrets / "ca.crt"
    inside = {who.name: made[who.name] for who in (*programs, *nodes)} | {"inside": made["admin"]}
    for who, token in inside.items():
        kubeconfig(
            place.secrets / f"{who}.kubeconfig",
            server=control_plane.SERVER,
            authority=authority,
            token=token,
        )
    kubeconfig(place.kubeconfig, server=server, authority=authority, token=made["admin"])
    return made["admin"]


def start(cluster: Cluster, wanted: Sequence[images.Image], say: Say) -> None:
    """Start every program in an order that lets none of them wait for a retry."""
    place, shape, programs = cluster.place, cluster.shape, cluster.programs
    for index in range(1, shape.nodes + 1):
        images.fill(cluster.node(index).containerd_root, programs, wanted, say)
    await_true("The box", PATIENCE, lambda: is_open(place))
    say(f"starting the control plane {kubernetes_version()}")
    start_control_plane(cluster)
    if shape.nodes:
        say(f"starting {shape}")
        start_network_and_nodes(cluster)
    say("starting the training-operator")
    manifests = programs.training_operator_manifests
    training_operator.install(cluster.api, manifests, place.secrets / training_operator.NAME)
    training_operator.start(cluster.box, place, programs)
    if shape.kwok:
        stages = place.secrets / "kwok.yaml"
        stages.write_text(control_plane.kwok_stages(programs.kwok_stages))
        cluster.box.start("kwok", control_plane.kwok(programs, place.secrets, stages))
    await_up(cluster)
    facts = {"shape": asdict(shape), "server": cluster.server, "token": cluster.token}
    partial = place.facts.with_suffix(".partial")
    partial.write_text(json.dumps(facts))
    partial.rename(place.facts)


def is_open(place: Place) -> bool:
    """Whether the box answers; an error when its keeper gave up."""
    if (lock := place.try_lock()) is not None:
        lock.close()
        said = (place.logs / "keeper.log").read_text(errors="replace")
        raise ClusterError(f"The box could not be opened:\n{said.strip()}")
    return (place.box / "box.sock").exists()


def start_control_plane(cluster: Cluster) -> None:
    place, programs, box = cluster.place, cluster.programs, cluster.box
    secrets = place.secrets
    box.start("etcd", control_plane.etcd(programs, place.folder / "etcd"))
    box.start("kube-apiserver", control_plane.api_server(programs, secrets))
    await_true("The API server's answer", PATIENCE, lambda: serves(cluster))
    box.start("kube-controller-manager", control_plane.controller_manager(programs, secrets))
    box.start("kube-scheduler", control_plane.scheduler(programs, secrets))


def serves(cluster: Cluster) -> bool:
    """Whether the API server is ready; an error when it is dead."""
    for name, program in cluster.box.programs().items():
        if program["exit"] is not None:
            raise ClusterError(f"{name} ended with {program['exit']}:\n{tail(cluster, name)}")
    return cluster.api.answers()


def start_network_and_nodes(cluster: Cluster) -> None:
    place, programs = cluster.place, cluster.programs
    network.publish_dns(cluster.api)
    cluster.box.start("coredns", network.dns(programs, place.secrets))
    for index in range(1, cluster.shape.nodes + 1):
        cluster.start_node(index)
    first = cluster.node().name
    cluster.box.start("kube-proxy", network.proxy(programs, place.secrets, first))


def await_up(cluster: Cluster) -> None:
    """Wait until pods can be made, placed and run, and PyTorchJobs are accepted."""
    api, shape = cluster.api, cluster.shape
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    await_true("The default service account", PATIENCE, lambda: exists(api, account))
    await_true(f"{shape}", PATIENCE, lambda: cluster.ready_nodes("node-") >= shape.nodes)
    training_operator.await_ready(api)


def exists(api: Api, path: str) -> bool:
    try:
        api.get(path)
    except ApiError as error:
        if error.code == 404:
            return False
        raise
    return True


def tail(cluster: Cluster, program: str, lines: int = 15) -> str:
    """The last lines of a program's log."""
    log = cluster.place.logs / f"{program}.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def down(name: str) -> bool:
    """End the cluster and remove what it left; whether there was one. Safe to run twice."""
    place = Place(name)
    place.check()
    existed = stop_keeper(place)
    keeper.await_end(place)
    return existed


def stop_keeper(place: Place) -> bool:
    """Ask the keeper to end; False when there is none."""
    lock = place.try_lock()
    if lock is not None:
        lock.close()
        return False
    await_true("The keeper's process id", 10, place.keeper.exists)
    os.kill(int(place.keeper.read_text()), signal.SIGTERM)
    return True


def status(name: str) -> dict[str, Any] | None:
    """What runs: {"kubeconfig", "shape", "logs", "programs": {name: exit code or None}}, if any."""
    place = Place(name)
    place.check()
    if not place.facts.exists():
        return None
    facts = json.loads(place.facts.read_text())
    shape = Shape(**facts["shape"])
    states = Box(place.box, place.logs, {}).programs()
    for index in range(1, shape.nodes + 1):
        node = Node(place, index)
        if states[node.name]["exit"] is None:
            states |= Box(node.folder, place.logs, {}).programs()
    return {
        "kubeconfig": str(place.kubeconfig),
        "shape": str(shape),
        "logs": str(place.logs),
        "programs": {program: state["exit"] for program, state in states.items()},
    }
