"""The Kubeflow training-operator, with its own CRD, rights and admission webhook, outside a pod."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from cluster import network
from cluster.api import Api, ApiError
from cluster.boxes import PATIENCE, Box, await_true
from cluster.control_plane import TRAINING_OPERATOR, argv
from cluster.credentials import signed
from cluster.images import TOOLS
from cluster.places import Place
from cluster.programs import Programs

NAME = "training-operator"
NAMESPACE = "kubeflow"
CERTIFICATES = ("ca.crt", "ca.key", "tls.crt", "tls.key")
CONFIGURATION = "validator.training-operator.kubeflow.org"
# The module's own init container pulls alpine; ours asks for the master's name in the same way.
WAIT_FOR_MASTER = f"""\
- name: init-pytorch
  image: {TOOLS}
  command: ["sh", "-c"]
  args:  # busybox's nslookup ignores the search list, so the namespace's domain is added
  - |
    domain=$(awk '$1 == "search" {{ print $2 }}' /etc/resolv.conf)
    until nslookup {{{{.MasterAddr}}}}.$domain >/dev/null 2>&1; do sleep 0.2; done
  securityContext:
    allowPrivilegeEscalation: false
    runAsNonRoot: true
    capabilities: {{drop: [ALL]}}
    seccompProfile: {{type: RuntimeDefault}}
"""


def install(api: Api, manifests: Path, folder: Path) -> None:
    """Apply the operator's objects, and its certificate, which it would make itself in seconds."""
    api.apply(f"/api/v1/namespaces/{NAMESPACE}", object_of("v1", "Namespace", NAMESPACE))
    for document in pytorch_documents(manifests):
        api.apply(path_of(document), document)
    signed(folder, "tls", f"{NAME}.{NAMESPACE}.svc", authority=f"{NAME}-ca")
    secret = object_of("v1", "Secret", "training-operator-webhook-cert", NAMESPACE)
    secret["data"] = {
        name: base64.b64encode((folder / name).read_bytes()).decode() for name in CERTIFICATES
    }
    api.apply(path_of(secret), secret)
    network.publish(api, NAMESPACE, NAME, [("webhook-server", "TCP", 443, 9443)])


def object_of(version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def pytorch_documents(manifests: Path) -> list[dict[str, Any]]:
    """What the module's kustomization makes of its manifests, for PyTorchJobs alone."""
    files = ["crds/kubeflow.org_pytorchjobs.yaml", "webhook/manifests.yaml"]
    files += [f"rbac/{name}.yaml" for name in ("service-account", "role", "cluster-role-binding")]
    documents = [yaml.load((manifests / file).read_text(), Loader=LOADER) for file in files]  # noqa: S506
    for document in documents:
        match document["kind"]:
            case "ValidatingWebhookConfiguration":
                document["metadata"]["name"] = CONFIGURATION
                document["webhooks"] = [
                    hook for hook in document["webhooks"] if "pytorchjob" in hook["name"]
                ]
                for hook in document["webhooks"]:
                    hook["clientConfig"]["service"] |= {"name": NAME, "namespace": NAMESPACE}
            case "ClusterRoleBinding":
                document["subjects"][0]["namespace"] = NAMESPACE
            case "ServiceAccount":
                document["metadata"]["namespace"] = NAMESPACE
    return documents


# Both are safe; the CRD has 644 kB, which takes seconds in plain Python.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PLURALS = {
    "CustomResourceDefinition": "customresourcedefinitions",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ServiceAccount": "serviceaccounts",
    "Secret": "secrets",
}


def path_of(document: dict[str, Any]) -> str:
    """The address of an object on the server."""
    version, metadata = document["apiVersion"], document["metadata"]
    group = f"/apis/{version}" if "/" in version else f"/api/{version}"
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{group}{space}/{PLURALS[document['kind']]}/{metadata['name']}"


def start(box: Box, place: Place, programs: Programs) -> None:
    """Start the operator in a mount namespace where /tmp is its own.

    It reads its certificate from below /tmp, a fixed name. Everything that it needs is below /run
    (the box's own), because the cache may be below /tmp.
    """
    own = place.box / "run" / NAME
    certificates = own / "tmp" / "k8s-webhook-server" / "serving-certs"
    certificates.mkdir(parents=True)
    for name in CERTIFICATES:
        shutil.copy(place.secrets / NAME / name, certificates)
    os.link(programs.path(NAME), own / "program")
    shutil.copy(place.secrets / f"{TRAINING_OPERATOR.name}.kubeconfig", own / "kubeconfig")
    (own / "init.yaml").write_text(WAIT_FOR_MASTER)
    inside = f"/run/{NAME}"
    flags = {
        "kubeconfig": f"{inside}/kubeconfig",
        "enable-scheme": "pytorchjob",
        "pytorch-init-container-template-file": f"{inside}/init.yaml",
    }
    command = f'mount --bind {inside}/tmp /tmp && exec "$0" "$@"'  # noqa: S108
    unshared = ["unshare", "--mount", "sh", "-c", command]
    env = {"MY_POD_NAMESPACE": NAMESPACE, "TMPDIR": "/tmp"}  # noqa: S108 - its own
    box.start(NAME, [*unshared, *argv(f"{inside}/program", flags)], env)


def await_ready(api: Api) -> None:
    """Wait until a PyTorchJob passes the operator's own webhook."""
    path = "/apis/kubeflow.org/v1/namespaces/default/pytorchjobs?dryRun=All"
    container = {"name": "pytorch", "image": TOOLS}
    master = {"replicas": 1, "template": {"spec": {"containers": [container]}}}
    job = object_of("kubeflow.org/v1", "PyTorchJob", "probe", "default")
    job["spec"] = {"pytorchReplicaSpecs": {"Master": master}}

    def accepted() -> bool:
        try:
            api.create(path, job)
        except (ApiError, OSError):
            return False
        return True

    await_true("The training-operator's webhook", PATIENCE, accepted)
