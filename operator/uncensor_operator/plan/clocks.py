"""How long a run was active: not the time suspended, nor the time after its end."""

from __future__ import annotations

from uncensor_operator.api.status import Status
from uncensor_operator.plan.times import read_time, seconds_since
from uncensor_operator.plan.world import World


def elapsed(status: Status, world: World) -> float:
    """Return the seconds that a run was active: not suspended, and not yet at its end."""
    until = read_time(status.finished_at) or world.now
    held = status.suspended_seconds + seconds_since(status.suspended_at, until)
    return max(0.0, seconds_since(status.started_at, until) - held)


def reopened(status: Status, world: World) -> Status:
    """Return the status of a run that goes on; the time since its end does not count as active."""
    if status.finished_at is None:
        return status
    idle = round(seconds_since(status.finished_at, world.now))
    left_out = status.suspended_seconds + idle
    return status.model_copy(update={"finished_at": None, "suspended_seconds": left_out})
