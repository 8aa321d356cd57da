"""A namespace of one test."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api import Api
from cluster.clusters import Cluster

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""The label by which a namespace refuses pods that Pod Security `restricted` refuses."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace of one test."""

    name: str
    cluster: Cluster

    @property
    def api(self) -> Api:
        return self.cluster.api

    def path(self, resource: str, group: str = "v1") -> str:
        """The address of a resource here: path("pods"), path("jobs", "batch/v1")."""
        prefix = f"/apis/{group}" if "/" in group else f"/api/{group}"
        return f"{prefix}/namespaces/{self.name}/{resource}"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.name, *arguments, stdin=stdin)
