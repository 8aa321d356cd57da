"""What the test cluster offers is real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster import builds
from cluster.api import Api, ApiError
from cluster.boxes import await_true
from cluster.clusters import Cluster
from cluster.fixtures import Namespace
from cluster.pods import JOBS, PYTORCH, a_container, a_pod, a_pytorch_job, await_phase
from cluster.programs import kubernetes_version

pytestmark = pytest.mark.cluster


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
