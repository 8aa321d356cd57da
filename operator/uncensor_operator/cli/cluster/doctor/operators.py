"""The two programs that must run: the training-operator and our own operator."""

from __future__ import annotations

from collections.abc import Iterator

from uncensor_operator.cli.cluster.connection import Object
from uncensor_operator.cli.cluster.doctor.findings import (
    FORBIDDEN,
    NOT_FOUND,
    Examined,
    Finding,
    ok,
    problem,
    replicas_of,
    unknown,
    warning,
)
from uncensor_operator.errors import ClusterError
from uncensor_operator.names import Label

_GROUP = "/apis/kubeflow.org/v1"
_DEPLOYMENTS = "/apis/apps/v1/deployments"
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_TRAINING = "training-operator"
_INSTALL_TRAINING = (
    "install the Kubeflow training-operator 1.9 (not Trainer 2): "
    "kubectl apply --server-side -k "
    "'github.com/kubeflow/training-operator.git/manifests/overlays/standalone?ref=v1.9.4'"
)


def training_operator(examined: Examined) -> Iterator[Finding]:
    """Check that PyTorchJobs are known and that somebody works on them."""
    try:
        kinds = examined.connection.get(_GROUP).get("resources") or []
    except ClusterError as error:
        if error.code != NOT_FOUND:
            raise
        kinds = []
    if not any(kind.get("name") == "pytorchjobs" for kind in kinds):
        yield problem("training-operator", "the kind PyTorchJob is not known", _INSTALL_TRAINING)
        return
    try:
        found = [one for one in examined.listed(_DEPLOYMENTS) if _is_training_operator(one)]
    except ClusterError as error:
        if error.code != FORBIDDEN:
            raise
        found = []
    examined.training_operator = found[0] if found else None
    yield _available(found[0], _TRAINING) if found else _by_dry_run(examined)


def _is_training_operator(deployment: Object) -> bool:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    images = " ".join(str(one.get("image", "")) for one in containers)
    return deployment["metadata"]["name"] == _TRAINING or f"/{_TRAINING}" in images


def _available(deployment: Object, subject: str) -> Finding:
    metadata = deployment["metadata"]
    name = f"Deployment {metadata['namespace']}/{metadata['name']}"
    available, wanted = replicas_of(deployment)
    if available:
        return ok(subject, f"{name}: {available} of {wanted} replicas available")
    return problem(
        subject,
        f"{name} has no available replica of {wanted}",
        f"kubectl describe pods -n {metadata['namespace']}; kubectl logs -n "
        f"{metadata['namespace']} deployment/{metadata['name']}",
    )


def _by_dry_run(examined: Examined) -> Finding:
    """Without a Deployment in sight: the operator's own webhook answers only while it runs."""
    space = examined.connection.namespace
    try:
        examined.connection.create(f"{_GROUP}/namespaces/{space}/pytorchjobs?dryRun=All", _PROBE)
    except ClusterError as error:
        if "failed calling webhook" in str(error):
            return problem(
                _TRAINING,
                f"its webhook does not answer, so it is down: {error}",
                "kubectl get deployments -A | grep training-operator, and look at its pods",
            )
        return unknown(_TRAINING, error)
    if _has_webhook(examined):
        return ok(_TRAINING, "no Deployment of it is in sight, but its webhook answers")
    return warning(
        _TRAINING,
        "PyTorchJobs are accepted, but no Deployment of it is in sight, so it may not run",
        "kubectl get deployments -A | grep training-operator",
    )


_PROBE: Object = {
    "apiVersion": "kubeflow.org/v1",
    "kind": "PyTorchJob",
    "metadata": {"name": "uncensor-doctor"},
    "spec": {
        "pytorchReplicaSpecs": {
            "Master": {
                "replicas": 1,
                "template": {"spec": {"containers": [{"name": "pytorch", "image": "none"}]}},
            }
        }
    },
}


def _has_webhook(examined: Examined) -> bool:
    try:
        configurations = examined.listed(_WEBHOOKS)
    except ClusterError:
        return False
    hooks = [hook for one in configurations for hook in one.get("webhooks") or []]
    return any(
        "pytorchjobs" in (rule.get("resources") or [])
        for hook in hooks
        for rule in hook.get("rules") or []
    )


def own_operator(examined: Examined) -> Iterator[Finding]:
    """Check that our operator has an available replica."""
    space = examined.operator_namespace
    selector = f"{Label.NAME}=uncensor-operator"
    path = f"/apis/apps/v1/namespaces/{space}/deployments" if space else _DEPLOYMENTS
    where = f"namespace {space}" if space else "any namespace"
    found = examined.connection.items(path, labelSelector=selector)
    if not found:
        yield problem(
            "operator",
            f"no Deployment with the label {selector} in {where}",
            "helm install uncensor-operator charts/uncensor-operator "
            "--namespace uncensor-system --create-namespace",
        )
        return
    examined.operator = found[0]
    yield from (_available(one, "operator") for one in found)
    if len(found) > 1 and not space:
        spaces = ", ".join(str(one["metadata"]["namespace"]) for one in found)
        yield warning(
            "operator",
            f"{len(found)} operators: in {spaces}",
            "see that each watches namespaces of its own (settings: namespaces), or remove one; "
            "--operator-namespace chooses the one that is looked at here",
        )
