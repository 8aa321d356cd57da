"""The test cluster is a real one, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import builds, cgroups, keeper, lifecycle
from cluster.api import Api, ApiError
from cluster.boxes import await_true
from cluster.clusters import Cluster, Shape
from cluster.errors import ClusterError
from cluster.fixtures import Namespace, require_cluster, say
from cluster.images import TOOLS
from cluster.places import HERE, Place
from cluster.programs import kubernetes_version

pytestmark = pytest.mark.cluster

JOBS = "batch/v1"
PYTORCH = "kubeflow.org/v1"


def a_container(script: str, **more: Any) -> dict[str, Any]:
    return {"name": "main", "image": TOOLS, "command": ["sh", "-c", script]} | more


def a_pod(name: str, script: str, container: dict[str, Any] | None = None, **spec: Any) -> Any:
    containers = [a_container(script, **(container or {}))]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": containers, **spec},
    }


def a_pytorch_job(name: str, script: str, container: str = "pytorch") -> dict[str, Any]:
    def replica() -> dict[str, Any]:
        containers = [a_container(script, name=container)]
        return {
            "replicas": 1,
            "restartPolicy": "Never",
            "template": {"spec": {"containers": containers}},
        }

    return {
        "apiVersion": PYTORCH,
        "kind": "PyTorchJob",
        "metadata": {"name": name},
        "spec": {"pytorchReplicaSpecs": {"Master": replica(), "Worker": replica()}},
    }


def await_phase(namespace: Namespace, pod: str, phase: str, seconds: float = 120) -> None:
    path = f"{namespace.path('pods')}/{pod}"
    await_true(
        f"The phase {phase} of the pod {pod}",
        seconds,
        lambda: namespace.api.get(path)["status"].get("phase") == phase,
    )


def test_kubectl_reaches_the_version_of_go_mod(cluster: Cluster) -> None:
    assert f"Server Version: {kubernetes_version()}" in cluster.kubectl("version")


def test_an_account_may_do_what_its_role_says_and_nothing_else(namespace: Namespace) -> None:
    api = namespace.cluster.account_api(namespace.name, "default")
    with pytest.raises(ApiError) as refused:
        api.get(namespace.path("pods"))
    assert refused.value.code == 403

    allow(namespace, "pods")

    await_true("The new right", 20, lambda: may(api, namespace.path("pods")))
    assert not may(api, namespace.path("secrets"))


def allow(namespace: Namespace, resource: str) -> None:
    namespace.kubectl("create", "role", "reader", "--verb=list", f"--resource={resource}")
    account = f"--serviceaccount={namespace.name}:default"
    namespace.kubectl("create", "rolebinding", "reader", "--role=reader", account)


def may(api: Api, path: str) -> bool:
    try:
        api.get(path)
    except ApiError as error:
        if error.code != 403:
            raise
        return False
    return True


def test_a_pod_runs_to_its_end_and_its_log_can_be_read(namespace: Namespace) -> None:
    namespace.api.create(namespace.path("pods"), a_pod("hello", "echo here I am; id -u"))

    await_phase(namespace, "hello", "Succeeded")

    assert namespace.kubectl("logs", "hello") == "here I am\n65532\n"


def test_an_exit_code_is_reported(namespace: Namespace) -> None:
    namespace.api.create(namespace.path("pods"), a_pod("bad", "exit 75"))

    await_phase(namespace, "bad", "Failed")

    assert ended(namespace, "bad")["exitCode"] == 75


def ended(namespace: Namespace, pod: str) -> dict[str, Any]:
    status = namespace.api.get(f"{namespace.path('pods')}/{pod}")["status"]
    terminated: dict[str, Any] = status["containerStatuses"][0]["state"]["terminated"]
    return terminated


def test_a_memory_limit_kills(namespace: Namespace) -> None:
    limits = {"resources": {"limits": {"memory": "24Mi"}}}
    greedy = a_pod("greedy", "tail -c 200m /dev/zero", limits)
    namespace.api.create(namespace.path("pods"), greedy)

    await_phase(namespace, "greedy", "Failed")

    assert ended(namespace, "greedy")["exitCode"] == 137
    assert ended(namespace, "greedy")["reason"] == "OOMKilled"


def test_a_job_finds_services_by_name_and_reaches_the_api(namespace: Namespace) -> None:
    script = (
        "nslookup kubernetes.default.svc.cluster.local && "
        "nc -w 10 kubernetes.default.svc 443 </dev/null && echo reached"
    )
    pod = {"restartPolicy": "Never", "containers": [a_container(script)]}
    job = {"apiVersion": JOBS, "kind": "Job", "metadata": {"name": "look"}}
    namespace.api.create(namespace.path("jobs", JOBS), job | {"spec": {"template": {"spec": pod}}})

    namespace.kubectl("wait", "--for=condition=Complete", "job/look", "--timeout=120s")

    assert "reached" in namespace.kubectl("logs", "job/look")


def test_pods_of_two_nodes_reach_each_other_through_a_service(namespace: Namespace) -> None:
    serve = "while true; do echo pong | nc -l -p 8080; done"
    pods = namespace.path("pods")
    server = a_pod("server", serve, nodeName="node-a")
    server["metadata"]["labels"] = {"app": "server"}
    namespace.api.create(pods, server)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server"},
        "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    namespace.api.create(namespace.path("services"), service)
    ask = "until nc -w 2 server 80 </dev/null | grep pong; do sleep 0.5; done"
    namespace.api.create(pods, a_pod("client", ask, nodeName="node-b"))

    await_phase(namespace, "client", "Succeeded")


def test_a_namespace_that_enforces_restricted_pods_refuses_root(namespace: Namespace) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    namespace.cluster.kubectl("label", "namespace", namespace.name, label)

    with pytest.raises(ApiError, match="violates PodSecurity"):
        namespace.api.create(namespace.path("pods"), a_pod("root", "true"))


def test_a_pytorch_job_runs_in_its_pods(namespace: Namespace) -> None:
    # As in training, the master ends after the worker has reached it.
    script = (
        "echo rank $RANK of $WORLD_SIZE; "
        "if [ $RANK = 0 ]; then echo meet | nc -l -p $MASTER_PORT >/dev/null; "
        "else until nc -w 2 $MASTER_ADDR $MASTER_PORT </dev/null; do sleep 0.2; done; fi"
    )
    jobs = namespace.path("pytorchjobs", PYTORCH)
    namespace.api.create(jobs, a_pytorch_job("pair", script))

    namespace.kubectl("wait", "--for=condition=Succeeded", "pytorchjob/pair", "--timeout=180s")

    await_phase(namespace, "pair-worker-0", "Succeeded")
    assert namespace.kubectl("logs", "pair-master-0") == "rank 0 of 2\n"
    assert namespace.kubectl("logs", "pair-worker-0", "-c", "pytorch") == "rank 1 of 2\nmeet\n"


def test_the_training_operators_own_webhook_judges_pytorch_jobs(namespace: Namespace) -> None:
    bad = a_pytorch_job("bad", "true", container="other")

    with pytest.raises(ApiError, match="pytorch"):
        namespace.api.create(namespace.path("pytorchjobs", PYTORCH), bad)


def test_an_image_of_a_dockerfile_is_built_once_and_runs(
    namespace: Namespace, tmp_path: Path
) -> None:
    dockerfile, folder = tmp_path / "Dockerfile", tmp_path / "code"
    folder.mkdir()
    (folder / "hello.py").write_text("import sys; print('Python', sys.version_info[1])\n")
    dockerfile.write_text(
        "ARG BASE=python:3.11-slim\nFROM ${BASE}\nCOPY code /code\nRUN python -m compileall /code\n"
        'USER 1000\nCMD ["python", "/code/hello.py"]\n'
    )
    name = "uncensor.test/hello:1"
    stories: list[str] = []

    archive = builds.build(name, dockerfile, [folder], stories.append)
    again = builds.build(name, dockerfile, [folder], stories.append)

    assert again == archive
    assert sum(name in story for story in stories) <= 1
    namespace.cluster.load(archive.path)
    pod = a_pod("hello", "", {"image": name, "command": None})
    namespace.api.create(namespace.path("pods"), pod)
    await_phase(namespace, "hello", "Succeeded")
    assert namespace.kubectl("logs", "hello") == "Python 11\n"


def test_kwok_plays_nodes_and_pods(namespace: Namespace) -> None:
    namespace.cluster.add_fake_nodes(3, prefix="played")
    fake = {"key": "kwok.x-k8s.io/node", "operator": "Exists"}
    spec: dict[str, Any] = {"tolerations": [fake], "nodeSelector": {"type": "kwok"}}
    for index in range(6):
        namespace.api.create(namespace.path("pods"), a_pod(f"p{index}", "false", **spec))

    await_phase(namespace, "p5", "Running")

    node = namespace.api.get(f"{namespace.path('pods')}/p5")["spec"]["nodeName"]
    assert node.startswith("played-")
    namespace.cluster.kubectl("delete", "nodes", "--selector", "type=kwok")


def test_a_second_up_finds_the_running_cluster(cluster: Cluster) -> None:
    before = cluster.box.programs()

    again = lifecycle.up(cluster.place.name, cluster.shape, say)

    assert again.server == cluster.server
    assert again.box.programs() == before
    again.end()
    assert cluster.api.answers()


def test_a_second_up_with_another_shape_is_refused(cluster: Cluster) -> None:
    other = Shape(nodes=cluster.shape.nodes + 1)

    with pytest.raises(ClusterError, match="make cluster-down"):
        lifecycle.up(cluster.place.name, other, say)


def test_a_lost_node_is_noticed_and_comes_back(namespace: Namespace) -> None:
    cluster = namespace.cluster
    namespace.api.create(namespace.path("pods"), a_pod("there", "sleep 600", nodeName="node-b"))
    await_phase(namespace, "there", "Running")

    cluster.lose_node(2)

    await_true("The loss of node-b", 120, lambda: cluster.ready_nodes("node-b") == 0)
    cluster.start_node(2)
    await_true("The return of node-b", 120, lambda: cluster.ready_nodes("node-b") == 1)
    namespace.api.create(namespace.path("pods"), a_pod("after", "true", nodeName="node-b"))
    await_phase(namespace, "after", "Succeeded")


@pytest.fixture
def gone() -> Iterator[Place]:
    """The place of a cluster that a test starts and ends by itself."""
    require_cluster()
    place = Place(f"gone-{os.getpid()}")
    yield place
    lifecycle.down(place.name)
    shutil.rmtree(place.folder)


def test_down_leaves_nothing_and_can_be_run_twice(gone: Place) -> None:
    called(gone, "up", "--nodes", "1")
    cluster = lifecycle.up(gone.name, Shape(nodes=1), say)
    cluster.api.create("/api/v1/namespaces/default/pods", a_pod("busy", "sleep 600"))
    await_phase(Namespace("default", cluster), "busy", "Running")
    assert "node-a.kubelet" in called(gone, "status")
    assert traces(gone)

    assert "is down" in called(gone, "down")

    assert traces(gone) == []
    assert "no cluster" in called(gone, "down")
    assert "no cluster" in called(gone, "status", code=3)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="interrupted"),
        pytest.param(signal.SIGKILL, id="killed"),
    ],
)
def test_an_up_that_ends_early_leaves_nothing(gone: Place, number: signal.Signals) -> None:
    with cluster_command(gone, "up") as process:
        await_true("A started API server", 120, (gone.logs / "kube-apiserver.log").exists)
        process.send_signal(number)
        process.communicate()

    keeper.await_end(gone)

    assert traces(gone) == []
    assert process.returncode != 0


def test_the_box_dies_with_a_killed_keeper_and_down_sweeps_up(gone: Place) -> None:
    called(gone, "up", "--control-plane-only")
    os.kill(int(gone.keeper.read_text()), signal.SIGKILL)

    called(gone, "down")

    await_true("The end of the box", 30, lambda: traces(gone) == [])


FAILING = """
import json

def test_bad(namespace):
    pod = json.loads(POD)
    namespace.api.create(namespace.path("pods"), pod)
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/culprit")
    assert not pod
"""


def test_a_failed_test_shows_its_pods_and_keeps_its_logs(
    namespace: Namespace, tmp_path: Path
) -> None:
    imported = "from cluster.fixtures import cluster, namespace, pytest_runtest_makereport\n"
    (tmp_path / "conftest.py").write_text(imported)
    pod = json.dumps(a_pod("culprit", "echo it was me; exit 1"))
    (tmp_path / "test_bad.py").write_text(f"POD = {pod!r}\n{FAILING}")

    said = pytest_in(tmp_path, namespace.cluster.place.name)

    kept = namespace.cluster.place.folder / "failures" / "test_bad"
    assert "1 failed" in said
    assert "culprit" in said
    assert str(kept) in said
    assert "it was me" in (kept / "culprit.pod.log").read_text()
    assert (kept / "kube-apiserver.log").stat().st_size
    assert namespace.api.answers()
    shutil.rmtree(kept)


def test_without_leave_tests_are_skipped_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from cluster.fixtures import cluster\n")
    (tmp_path / "test_any.py").write_text("def test_any(cluster): ...\n")

    said = pytest_in(tmp_path, "")

    assert "1 skipped" in said
    assert "UNCENSOR_CLUSTER is not set" in said


def pytest_in(folder: Path, cluster: str) -> str:
    """What a pytest of its own says about the tests in `folder`; a missing cluster is a skip."""
    env = {name: value for name, value in os.environ.items() if name not in REQUIRING}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", folder],
        cwd=folder,
        env=env | {"PYTHONPATH": str(HERE.parent), "UNCENSOR_CLUSTER": cluster},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


REQUIRING = ("CI", "UNCENSOR_REQUIRE_CLUSTER")


def cluster_command(place: Place, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cluster", "--name", place.name, *words],
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def called(place: Place, *words: str, code: int = 0) -> str:
    """What the command said."""
    with cluster_command(place, *words) as process:
        said, _ = process.communicate()
    assert process.returncode == code, said
    return said


def traces(place: Place) -> list[str]:
    """What of a cluster is still on this machine, beyond its logs.

    A process of the box shows by what is mounted where it lives, and a mount or network namespace
    exists by its processes alone.
    """
    found = [f"cgroup {group}" for group in cgroups.left(place.cgroup)]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "mountinfo").read_text() + (process / "cmdline").read_text()
        except OSError:  # it ended meanwhile
            continue
        if f"{place.folder}/" in seen:
            found.append(f"process {process.name}: {(process / 'cmdline').read_text()}")
    allowed = {place.lock, place.logs, place.folder / "failures"}
    found += [f"file {path}" for path in place.folder.iterdir() if path not in allowed]
    found += [f"interface {name}" for name in os.listdir("/sys/class/net") if name == "cni0"]
    return found
