"""Pods and jobs that tests of the test cluster create."""

from __future__ import annotations

from typing import Any

from cluster.boxes import await_true
from cluster.images import TOOLS
from cluster.spaces import Namespace

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
