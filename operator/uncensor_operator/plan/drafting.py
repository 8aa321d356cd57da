"""A plan in the making, and what makes it one: conditions, phase, columns."""

from __future__ import annotations

from dataclasses import dataclass

from uncensor_operator.api.status import Columns, Restarts, Status
from uncensor_operator.names import ConditionStatus, ConditionType
from uncensor_operator.plan.conditions import Situation, conditions, phase
from uncensor_operator.plan.course import DONE
from uncensor_operator.plan.outcome import Event, Plan, Step
from uncensor_operator.plan.words import cut
from uncensor_operator.plan.world import World


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan in the making.

    Attributes:
        situation: what the conditions will be made from.
        status: the status so far, conditions apart.
    """

    situation: Situation
    status: Status
    steps: tuple[Step, ...] = ()
    events: tuple[Event, ...] = ()
    again_in: float | None = None


def finished(world: World, draft: Draft) -> Plan:
    """Add what is derived from the rest: conditions, phase, columns."""
    status, situation = draft.status, draft.situation
    columns = (status.columns or Columns()).model_copy(
        update={"progress": _shown_progress(situation), "model": _model(world)}
    )
    written = status.model_copy(
        update={
            "observed_generation": world.generation,
            "phase": phase(situation),
            "conditions": conditions(situation, world.status, world.generation, world.now),
            "columns": columns,
            "restarts": _restarts(status),
        }
    )
    events = (*draft.events, *_told_obstacle(world, situation))
    return Plan(draft.steps, written, events, draft.again_in)


def bound(world: World) -> str | None:
    """Return the workspace's problem: none when the claim is bound, None while that is open."""
    return "" if world.claim is not None and world.claim.phase == "Bound" else None


def _told_obstacle(world: World, situation: Situation) -> tuple[Event, ...]:
    """An obstacle is told when it comes up, not at every look at it."""
    obstacle = situation.obstacle
    if obstacle is None or situation.held or situation.ended is not None:
        return ()
    known = {one.type: one for one in world.status.conditions}.get(ConditionType.STALLED)
    if known and known.status is ConditionStatus.TRUE and known.reason == obstacle.reason:
        return ()
    return (Event("Warning", obstacle.reason, cut(obstacle.message, 1000)),)


def _restarts(status: Status) -> Restarts:
    return Restarts(
        user=sum(one.failures for one in status.stages),
        infrastructure=sum(one.interruptions for one in status.stages),
    )


def _shown_progress(situation: Situation) -> str | None:
    stage = situation.current
    done = sum(one.state in DONE for one in situation.stages)
    if stage is None:
        return f"{done}/{len(situation.stages)} stages"
    found = stage.progress
    if found is None or found.step is None:
        return f"{done}/{len(situation.stages)} stages"
    of = f"/{found.total_steps}" if found.total_steps else ""
    percent = f" ({found.percent}%)" if found.percent is not None else ""
    return f"{found.step}{of}{percent}"


def _model(world: World) -> str | None:
    if world.training is None:
        return world.status.columns.model if world.status.columns else None
    model = world.training.spec.model
    if model.hugging_face is not None:
        return model.hugging_face.repo[:256]
    if model.package is not None:
        return model.package.file.rpartition("/")[2][:256]
    if model.path is not None:
        return model.path.rstrip("/").rpartition("/")[2][:256]
    return None
