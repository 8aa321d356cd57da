"""The operator as a process of this machine, with exactly the rights that the chart gives it.

Tests of what the operator does want to kill and restart it, to read its metrics and to give it
other settings, all in a second; that it also runs as a pod is the business of `product`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from cluster.api import Api
from cluster.boxes import PATIENCE, await_true
from cluster.checkout import ROOT
from cluster.clusters import Cluster
from cluster.places import cache

NAMESPACE = "uncensor-outside"
ACCOUNT = "uncensor-operator"
CRD = ROOT / "crds" / "uncensor.dev_uncensortrainings.yaml"
RULES = ROOT / "charts" / "uncensor-operator" / "files" / "rules.yaml"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def install(cluster: Cluster) -> None:
    """CRD, namespace, account and rights; safe to repeat."""
    api = cluster.api
    crd = yaml.safe_load(CRD.read_text())
    api.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name_of(crd)}", crd)
    metadata = {"name": NAMESPACE}
    api.apply(
        f"/api/v1/namespaces/{NAMESPACE}",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata},
    )
    account = {"name": ACCOUNT, "namespace": NAMESPACE}
    api.apply(
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
    )
    rules = yaml.safe_load(RULES.read_text())
    grant(api, "ClusterRole", f"{RBAC}/clusterroles", [*rules["watched"], *rules["cluster"]])
    grant(api, "Role", f"{RBAC}/namespaces/{NAMESPACE}/roles", rules["own"])
    paths = (f"/apis/uncensor.dev/v1alpha1/{name_of(crd).partition('.')[0]}",)
    await_true("The kind UncensorTraining", 30, lambda: all(served(api, path) for path in paths))


def grant(api: Api, kind: str, path: str, rules: list[dict[str, Any]]) -> None:
    group = "rbac.authorization.k8s.io"
    metadata: dict[str, Any] = {"name": NAMESPACE}
    if kind == "Role":
        metadata["namespace"] = NAMESPACE
    head = {"apiVersion": f"{group}/v1", "metadata": metadata}
    api.apply(f"{path}/{NAMESPACE}", {**head, "kind": kind, "rules": rules})
    binding = {
        **head,
        "kind": f"{kind}Binding",
        "roleRef": {"apiGroup": group, "kind": kind, "name": NAMESPACE},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }
    bindings = path.replace("roles", "rolebindings")
    api.apply(f"{bindings}/{NAMESPACE}", binding)


def name_of(raw: dict[str, Any]) -> str:
    return str(raw["metadata"]["name"])


def served(api: Api, path: str) -> bool:
    try:
        api.get(path)
    except Exception:  # noqa: BLE001 - not there yet, in whatever way
        return False
    return True


class Outside:
    """One process of the operator."""

    def __init__(self, cluster: Cluster, folder: Path, settings: dict[str, Any]) -> None:
        self.cluster = cluster
        self.folder = folder
        self.port = free_port()
        self.settings = {**settings, "httpPort": self.port}
        self.log = folder / "operator.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Outside:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "settings.yaml"
        settings.write_text(yaml.safe_dump(self.settings))
        kubeconfig = self.folder / "kubeconfig"
        if not kubeconfig.exists():
            self.cluster.account_kubeconfig(NAMESPACE, ACCOUNT, kubeconfig)
        environment = os.environ | {
            # The image holds compiled bytecode; a shell that keeps Python from writing any would
            # let every start compile all libraries.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(cache() / "bytecode"),
            "KUBECONFIG": str(kubeconfig),
            "POD_NAMESPACE": NAMESPACE,
            "POD_NAME": self.folder.name,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uncensor_operator", "--settings", str(settings)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await_true("The operator's port", PATIENCE, lambda: self.read("/readyz") == "ok\n")
        return self

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End the process by a signal and return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill(signal.SIGTERM)

    def read(self, path: str) -> str:
        """What its port answers; the text of a refusal too, and nothing when it is not there."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"the operator has ended:\n{self.log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return str(error.read().decode())
        except OSError:
            return ""

    def metric(self, name: str) -> float:
        """The sum of a metric's series."""
        lines = self.read("/metrics").splitlines()
        values = [float(line.rpartition(" ")[2]) for line in lines if matches(line, name)]
        return sum(values)

    def wait_idle(self, seconds: float = 5.0, timeout: float = 120.0) -> None:
        """Wait until it has written nothing for so long."""
        last, since = -1.0, time.monotonic()
        deadline = since + timeout
        while time.monotonic() < deadline:
            writes = self.metric("uncensor_api_writes_total")
            if writes != last:
                last, since = writes, time.monotonic()
            if time.monotonic() - since >= seconds:
                return
            time.sleep(0.5)
        raise AssertionError("the operator does not come to rest")


def matches(line: str, name: str) -> bool:
    return line.startswith((f"{name} ", f"{name}{{"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
