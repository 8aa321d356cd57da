"""What the user may do in the namespace; the server itself is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from uncensor_operator import names
from uncensor_operator.cli.cluster.connection import Object
from uncensor_operator.cli.cluster.doctor.findings import Examined, Finding, ok, problem, warning

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Right:
    """One thing that a command needs."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    is_needed: bool = True
    command: str = ""
    """The command that fails without it."""

    def __str__(self) -> str:
        below = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.resource}{below}"


_RIGHTS = (
    Right("get", names.PLURAL, names.GROUP, command="status, report"),
    Right("list", names.PLURAL, names.GROUP, command="status, top"),
    Right("create", names.PLURAL, names.GROUP, command="kubectl apply"),
    Right("patch", names.PLURAL, names.GROUP, command="suspend, resume, retry"),
    Right("delete", names.PLURAL, names.GROUP, is_needed=False, command="kubectl delete"),
    Right("list", "pods", is_needed=False, command="logs"),
    Right("get", "pods", subresource="log", is_needed=False, command="logs"),
    Right("create", "pods", is_needed=False, command="report --download"),
)


def rights(examined: Examined) -> Iterator[Finding]:
    """Check the rights that the commands need, each on its own."""
    space = examined.connection.namespace
    refused = [right for right in _RIGHTS if not _allowed(examined, right)]
    for right in refused:
        found = f"you may not {right} in namespace {space} (needed by: {right.command})"
        remedy = (
            "ask for a RoleBinding; the chart's editor and viewer roles are part of the cluster "
            "roles edit and view"
        )
        yield (problem if right.is_needed else warning)("rights", found, remedy)
    if not refused:
        yield ok("rights", f"everything that the commands need is allowed in namespace {space}")


def _allowed(examined: Examined, right: Right) -> bool:
    attributes = {
        "namespace": examined.connection.namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
    }
    review: Object = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = examined.connection.create(_REVIEWS, review)
    return bool((answer.get("status") or {}).get("allowed"))
