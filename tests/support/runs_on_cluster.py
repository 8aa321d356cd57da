"""Runs on a real API server, with a status as the operator would write it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.api import Api, Object
from cluster.boxes import await_true
from cluster.clusters import Cluster
from cluster.fixtures import Namespace
from cluster.lifecycle import exists
from support.command import uncensor
from support.gitops import recorded
from uncensor_operator import names
from uncensor_operator.api import crdgen

CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{names.CRD_NAME}"
MERGE = "application/merge-patch+json"

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def install_crd(api: Api) -> None:
    """Apply the generated CRD and wait until the server serves it."""
    api.apply(CRD, crdgen.crd())

    def served() -> bool:
        # A moment passes between the condition Established and the first answer.
        conditions = api.get(CRD)["status"].get("conditions") or []
        established = any(
            one["type"] == "Established" and one["status"] == "True" for one in conditions
        )
        return established and exists(api, f"/apis/{names.API_VERSION}/{names.PLURAL}")

    await_true("The CRD", 30, served)


@dataclass(frozen=True)
class Runs:
    """The runs of one namespace."""

    namespace: Namespace

    @property
    def path(self) -> str:
        return self.namespace.path(names.PLURAL, names.API_VERSION)

    def recorded(self, state: str, name: str = "my-run", **status: Any) -> Object:
        """Create a run with the status of a recorded state; fields of it may be replaced."""
        manifest = recorded()[state]
        spec = manifest["spec"]
        about = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": name}}
        made = self.namespace.api.create(self.path, {**about, "spec": spec})
        return self.write_status(
            name,
            {
                **manifest["status"],
                "observedGeneration": made["metadata"]["generation"],
                **status,
            },
        )

    def write_status(self, name: str, status: Object) -> Object:
        """Merge fields into the status, by the subresource that the operator writes."""
        self.namespace.api.request(
            "PATCH", f"{self.path}/{name}/status", {"status": status}, kind=MERGE
        )
        return self.get(name)

    def get(self, name: str = "my-run") -> Object:
        return self.namespace.api.get(f"{self.path}/{name}")


@pytest.fixture
def runs(namespace: Namespace) -> Runs:
    """The runs of the test's namespace; the kind is there."""
    install_crd(namespace.api)
    return Runs(namespace)


@pytest.fixture
def command(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> Command:
    """`uncensor` with the administrator's kubeconfig, about the test's namespace."""

    def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"KUBECONFIG": str(cluster.kubeconfig), **environment}
        return uncensor(*arguments, "-n", namespace.name, cwd=tmp_path, **variables)

    return run
