"""What a run wants to happen, as data: steps, the status to write, events to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from uncensor_operator.api.v1alpha1 import Status
from uncensor_operator.names import Reason


@dataclass(frozen=True, slots=True)
class Create:
    """Create an object, or adopt the one of this name when the run owns it already."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object, if it is still the one of this uid.

    Attributes:
        grace_seconds: for pods; None leaves them what their spec says, 0 removes them by force.
    """

    kind: str
    name: str
    uid: str = ""
    grace_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Change fields of an object by a merge patch."""

    kind: str
    name: str
    body: Mapping[str, Any]


Step = Create | Delete | Patch


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a person may want to read in `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: Reason
    message: str
    action: str = "Reconcile"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one pass wants to happen, in order: steps, status, events.

    Attributes:
        status: None leaves it as it is.
        again_in: seconds until the run must be looked at again, if nothing happens before.
    """

    steps: tuple[Step, ...] = ()
    status: Status | None = None
    events: tuple[Event, ...] = field(default=())
    again_in: float | None = None
