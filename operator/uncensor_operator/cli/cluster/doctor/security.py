"""Pod Security `restricted`, which the training-operator's own init container violates.

Workers get an init container that waits for the master. The built-in one sets no security context,
so a namespace that enforces `restricted` refuses every worker, and a training on several nodes
never begins; the training-operator takes another template by a flag.
"""

from __future__ import annotations

from collections.abc import Iterator

from uncensor_operator.cli.cluster.connection import Object
from uncensor_operator.cli.cluster.doctor.findings import (
    FORBIDDEN,
    Examined,
    Finding,
    ok,
    problem,
    warning,
)
from uncensor_operator.errors import ClusterError

_ENFORCE = "pod-security.kubernetes.io/enforce"
_FLAG = "pytorch-init-container-template-file"
# Where the program looks without the flag.
_FILE = "/etc/config/initContainer.yaml"
_SUBJECT = "Pod Security"


def pod_security(examined: Examined) -> Iterator[Finding]:
    """Check namespaces that enforce `restricted` against the training-operator's template."""
    restricted = sorted(
        str(one["metadata"]["name"]) for one in _namespaces(examined) if _enforces_restricted(one)
    )
    if not restricted:
        yield ok(_SUBJECT, "no namespace that was looked at enforces restricted")
        return
    spaces = f"restricted is enforced in {', '.join(restricted)}"
    if examined.training_operator is None:
        yield warning(
            _SUBJECT,
            f"{spaces}; which template the training-operator gives its init container is not known",
            _REMEDY,
        )
    elif has_own_template(examined.training_operator):
        yield ok(_SUBJECT, f"{spaces}; the training-operator has an init container of its own")
    else:
        yield problem(
            _SUBJECT,
            f"{spaces}, where the training-operator's built-in init container is refused: "
            "trainings on several nodes will not begin",
            _REMEDY,
        )


_REMEDY = (
    f"give the training-operator --{_FLAG}=FILE (or mount {_FILE}) with an init container that "
    "sets runAsNonRoot, drops all capabilities, forbids privilege escalation and uses the seccomp "
    "profile RuntimeDefault; docs/howto/cluster-commands.md has one"
)


def _namespaces(examined: Examined) -> list[Object]:
    connection = examined.connection
    if not connection.options.all_namespaces:
        return [connection.get(f"/api/v1/namespaces/{connection.namespace}")]
    try:
        return examined.listed("/api/v1/namespaces")
    except ClusterError as error:
        if error.code != FORBIDDEN:
            raise
        return [connection.get(f"/api/v1/namespaces/{connection.namespace}")]


def _enforces_restricted(namespace: Object) -> bool:
    labels = namespace["metadata"].get("labels") or {}
    return labels.get(_ENFORCE) == "restricted"


def has_own_template(deployment: Object) -> bool:
    """Whether a training-operator was given another init container."""
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        words = [*(container.get("command") or []), *(container.get("args") or [])]
        if any(_FLAG in str(word) for word in words):
            return True
        mounts = [str(one.get("mountPath", "")) for one in container.get("volumeMounts") or []]
        if any(path == _FILE or _FILE.startswith(f"{path.rstrip('/')}/") for path in mounts):
            return True
    return False
