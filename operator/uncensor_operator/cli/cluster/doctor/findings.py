"""What a check says: how things are, and what to do where they are not well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from uncensor_operator.cli.cluster.connection import Connection, Object
from uncensor_operator.errors import ClusterError

FORBIDDEN, NOT_FOUND = 403, 404


class Level(StrEnum):
    """How bad it is."""

    # As it should be.
    OK = "ok"
    # Works for some runs, or could not be told.
    WARNING = "warning"
    # Runs fail, or wait for ever, until somebody acts.
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check."""

    subject: str
    level: Level
    found: str
    remedy: str = ""
    """What to do; empty when nothing is to be done."""


@dataclass(slots=True)
class Examined:
    """The cluster, and what earlier checks have learnt for later ones."""

    connection: Connection
    operator_namespace: str | None
    """Where the operator is, if the user said so."""
    operator: Object | None = None
    """The operator's Deployment, once found."""
    training_operator: Object | None = None
    """The training-operator's Deployment, once found."""
    memory: dict[str, list[Object]] = field(default_factory=dict)

    def listed(self, path: str) -> list[Object]:
        """Return a list of the cluster, asked for once."""
        if path not in self.memory:
            self.memory[path] = self.connection.items(path)
        return self.memory[path]


Check = Callable[[Examined], Iterator[Finding]]


def ok(subject: str, found: str) -> Finding:
    """Return a finding that needs nothing done."""
    return Finding(subject, Level.OK, found)


def warning(subject: str, found: str, remedy: str) -> Finding:
    """Return a finding that may matter."""
    return Finding(subject, Level.WARNING, found, remedy)


def problem(subject: str, found: str, remedy: str) -> Finding:
    """Return a finding that stops runs."""
    return Finding(subject, Level.PROBLEM, found, remedy)


def unknown(subject: str, error: ClusterError) -> Finding:
    """Return the finding that something could not be looked at."""
    remedy = "ask an administrator to run `doctor`" if error.code == FORBIDDEN else "try again"
    return warning(subject, f"could not be checked: {error}", remedy)


def replicas_of(deployment: Object) -> tuple[int, int]:
    """Return how many replicas of a Deployment are available, and how many are wanted."""
    status: Any = deployment.get("status") or {}
    return int(status.get("availableReplicas") or 0), int(deployment["spec"].get("replicas", 1))
