"""The product as users install it: the chart of this checkout in a cluster, with helm."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import yaml

from cluster.api import Api, Object
from cluster.checkout import ROOT, ProductImages
from cluster.clusters import Cluster
from cluster.errors import ClusterError
from cluster.processes import signal_pod
from cluster.programs import run
from cluster.spaces import RESTRICTED

CHART = ROOT / "charts" / "uncensor-operator"
RELEASE = "uncensor-operator"
NAMESPACE = "uncensor-system"
SELECTOR = "app.kubernetes.io/component=operator"
Values = Mapping[str, Any]


def small_values(images: ProductImages) -> dict[str, Any]:
    """Values for two nodes that share two cores, and for people who wait."""
    small = {"cpus": 0.1, "memory": "4Gi"}
    stages = ("fetch", "filter", "prepare", "probe", "evaluate", "report")
    return {
        "image": local(images.operator.reference),
        "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "settings": {
            # Nothing is pulled: the images are on the nodes, under tags that name their contents.
            "trainerImage": {"reference": images.trainer.reference, "pullPolicy": "Never"},
            "pools": [
                {"name": "cpu", "profile": "cpu", "cpus": 0.4, "memory": "6Gi"}
                | {"sharedMemory": "512Mi", "environment": {"OMP_NUM_THREADS": "1"}}
            ],
            "defaultPool": "cpu",
            "stages": dict.fromkeys(stages, small),
            "retries": {"firstSeconds": 1, "longestSeconds": 5},
            "cleaning": {"forceDeleteSeconds": 10, "unreachableSeconds": 5},
            "engine": {"progressSeconds": 2, "resyncSeconds": 30},
            "election": {"leaseSeconds": 15, "renewSeconds": 10, "retrySeconds": 1},
        },
    }


def local(reference: str) -> dict[str, str]:
    repository, tag = reference.rsplit(":", 1)
    return {"repository": repository, "tag": tag, "pullPolicy": "Never"}


def merged(values: Values, changes: Values) -> dict[str, Any]:
    """`values` with `changes`, as helm merges them: objects deeply, lists as a whole."""
    result = dict(values)
    for name, value in changes.items():
        old = result.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[name] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result


@dataclass(slots=True)
class Installation:
    """The operator, installed by helm in `uncensor-system`."""

    cluster: Cluster
    values: dict[str, Any]

    @property
    def api(self) -> Api:
        return self.cluster.api

    def helm(self, *words: str, stdin: str = "") -> str:
        return helm(self.cluster, *words, stdin=stdin)

    def kubectl(self, *words: str) -> str:
        return self.cluster.kubectl("--namespace", NAMESPACE, *words)

    def install(self, changes: Values | None = None, patience: int = 180) -> None:
        """Install or upgrade with `changes` to the values, and wait until the operator answers."""
        self.values = merged(self.values, changes or {})
        words = ["upgrade", "--install", RELEASE, str(CHART), "--values", "-"]
        # Other tests may have put the CRD there, without a chart.
        self.helm(
            *words, "--take-ownership", "--force-conflicts", stdin=yaml.safe_dump(self.values)
        )
        self.await_available(patience)

    def await_available(self, seconds: int = 180) -> None:
        """Wait for the operator; what it said is in the error."""
        try:
            self.kubectl("rollout", "status", f"deployment/{RELEASE}", f"--timeout={seconds}s")
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.evidence()}") from error

    def uninstall(self) -> None:
        """Remove what the chart made; the CRD and the runs stay, as for users."""
        self.helm("uninstall", RELEASE, "--ignore-not-found", "--wait")

    def pods(self) -> list[Object]:
        """The operator's pods that are not going away."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        pods = self.api.items(f"{path}?{urlencode({'labelSelector': SELECTOR})}")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def leader(self) -> str | None:
        """The holder of the Lease, as the Lease says it."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{RELEASE}"
        return str(self.api.get(path)["spec"].get("holderIdentity") or "") or None

    def read(self, path: str) -> str:
        """What the operator's Service answers, such as read("/metrics")."""
        service = f"/api/v1/namespaces/{NAMESPACE}/services/{RELEASE}:http"
        return self.api.request("GET", f"{service}/proxy{path}")

    def read_pod(self, pod: str, path: str) -> str:
        """What one of its pods answers, ready or not."""
        port = self.values.get("settings", {}).get("httpPort", 8080)
        address = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:{port}"
        return self.api.request("GET", f"{address}/proxy{path}")

    def logs(self) -> str:
        return self.kubectl(
            "logs", "--selector", "app.kubernetes.io/component=operator", "--tail=-1"
        )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal the operator's processes where they run; how many there were."""
        return sum(signal_pod(pod, number) for pod in self.pods())

    def evidence(self) -> str:
        """What people need who ask why it does not run."""
        logs = ("logs", "--selector", SELECTOR, "--prefix", "--tail=50")
        questions = (("get", "pods", "-o", "wide"), ("events",), logs)
        return "\n".join(answered(self, question) for question in questions)


def answered(installation: Installation, question: tuple[str, ...]) -> str:
    try:
        return installation.kubectl(*question)
    except ClusterError as error:
        return str(error)


def helm(cluster: Cluster, *words: str, stdin: str = "") -> str:
    """The output of helm as administrator, with nothing of the user's own helm."""
    home = cluster.place.folder / "helm"
    env = {f"HELM_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    flags = ["--namespace", NAMESPACE, "--kubeconfig", str(cluster.kubeconfig)]
    return run([cluster.programs.path("helm"), *words, *flags], env=env, stdin=stdin)


def make_namespace(cluster: Cluster) -> None:
    """The operator's namespace, which enforces restricted pods, too."""
    metadata = {"name": NAMESPACE, "labels": RESTRICTED}
    about = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    cluster.api.apply(f"/api/v1/namespaces/{NAMESPACE}", about)


@contextlib.contextmanager
def installation(
    cluster: Cluster, images: ProductImages, changes: Values | None = None
) -> Iterator[Installation]:
    """Install the chart of this checkout for the time of a `with`.

    `{"replicas": 0}` gives the CRD and the operator's rights without an operator: a process
    outside can then work with `cluster.account_kubeconfig(NAMESPACE, RELEASE, path)`.
    """
    make_namespace(cluster)
    made = Installation(cluster, merged(small_values(images), changes or {}))
    try:
        made.install()
        yield made
    finally:
        made.uninstall()
