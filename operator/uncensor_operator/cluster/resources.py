"""Addresses of the kinds that the operator touches."""

from __future__ import annotations

from dataclasses import dataclass

from uncensor_operator import names


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind, and where the API server serves it."""

    kind: str
    version: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, part: str | None = None) -> str:
        """Return the path of an object, of one of its parts, or of a list."""
        prefix = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        space = f"/namespaces/{namespace}" if namespace else ""
        tail = f"/{name}" if name else ""
        return f"{prefix}{space}/{self.plural}{tail}" + (f"/{part}" if part else "")


RUNS = Resource(names.KIND, names.API_VERSION, names.PLURAL)
JOBS = Resource("Job", "batch/v1", "jobs")
PYTORCHJOBS = Resource("PyTorchJob", "kubeflow.org/v1", "pytorchjobs")
PODS = Resource("Pod", "v1", "pods")
CLAIMS = Resource("PersistentVolumeClaim", "v1", "persistentvolumeclaims")
CONFIG_MAPS = Resource("ConfigMap", "v1", "configmaps")
POLICIES = Resource("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies")
NODES = Resource("Node", "v1", "nodes")
CORE_EVENTS = Resource("Event", "v1", "events")
EVENTS = Resource("Event", "events.k8s.io/v1", "events")
LEASES = Resource("Lease", "coordination.k8s.io/v1", "leases")

BY_KIND = {one.kind: one for one in (JOBS, PYTORCHJOBS, PODS, CLAIMS, CONFIG_MAPS, POLICIES)}
# What belongs to runs and is watched, by the label that says so.
WATCHED = (JOBS, PYTORCHJOBS, PODS, CLAIMS, CONFIG_MAPS, POLICIES)
SELECTOR = f"{names.Label.MANAGED_BY}={names.FIELD_MANAGER}"
