"""Runs that do not go on: suspended, too late, given up, finished."""

from __future__ import annotations

from dataclasses import replace

from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.api.status import Status
from uncensor_operator.api.v1alpha1 import Spec
from uncensor_operator.names import Reason
from uncensor_operator.plan.conditions import Situation
from uncensor_operator.plan.drafting import Draft, bound
from uncensor_operator.plan.leftovers import forced, stopped
from uncensor_operator.plan.outcome import Delete, Event, Step
from uncensor_operator.plan.placement import Obstacle
from uncensor_operator.plan.resolving import Read, course_of, first_left
from uncensor_operator.plan.stages import advance
from uncensor_operator.plan.times import read_time, time_text
from uncensor_operator.plan.volume import with_claim
from uncensor_operator.plan.words import duration
from uncensor_operator.plan.world import World
from uncensor_operator.settings import Settings


def held(world: World, settings: Settings, status: Status) -> Draft:
    """Suspended: every child is told to stop."""
    stages: list[Stage] = []
    steps: list[Step] = []
    for stage in status.stages:
        one, told = stopped(stage, world)
        stages.append(one)
        steps += told
    steps += forced(world, settings)
    still = not steps and not _lives(world)
    events: tuple[Event, ...] = ()
    if status.suspended_at is None:
        status = status.model_copy(update={"suspended_at": time_text(world.now)})
        events = (Event("Normal", Reason.SUSPENDING, "Suspended; pods save their state."),)
    status = status.model_copy(update={"stages": tuple(stages)})
    situation = Situation(
        stages=stages,
        current=first_left(tuple(stages)),
        held=True,
        still=still,
        workspace=bound(world),
    )
    return Draft(situation, status, tuple(steps), events, None if still else 5)


def resumed(world: World, status: Status) -> tuple[Status, tuple[Event, ...]]:
    """Return the status of a run that is not suspended, with the time that it was."""
    since = read_time(status.suspended_at)
    if since is None:
        return status, ()
    # From its end on, a run is not active anyway: `reopened` leaves that time out.
    until = read_time(status.finished_at) or world.now
    held = max(0, round((until - since).total_seconds()))
    update = {"suspended_at": None, "suspended_seconds": status.suspended_seconds + held}
    return status.model_copy(update=update), (Event("Normal", Reason.RUNNING, "Resumed."),)


def over(world: World, spec: Spec, draft: Draft) -> Draft:
    """Finished, well or not: note when, and remove pods when their time has come."""
    status, ended = draft.status, draft.situation.ended
    events = draft.events
    if status.finished_at is None:
        status = status.model_copy(update={"finished_at": time_text(world.now)})
        if ended is None:
            events = (*events, Event("Normal", Reason.COMPLETED, "Every stage is done."))
    steps, again = draft.steps, draft.again_in
    ttl = spec.run_policy.ttl_seconds_after_finished
    finished = read_time(status.finished_at)
    if ttl is not None and finished is not None:
        left = ttl - (world.now - finished).total_seconds()
        if left > 0:
            again = left
        elif world.status.finished_at is None:
            again = 0  # what a stage has said must be written before its child goes
        else:
            steps += tuple(
                Delete(one.kind, one.name, one.uid) for one in world.children if not one.deleting
            )
    return replace(
        with_claim(world, spec, draft), status=status, steps=steps, events=events, again_in=again
    )


def given_up(world: World, settings: Settings, read: Read, draft: Draft) -> Draft:
    """A stage has failed for good; what is left of its attempt is removed."""
    failed = draft.situation.current
    assert failed is not None  # noqa: S101 - the caller looked
    move = advance(
        course_of(world, settings, read, draft.status, ""),
        read.run.stage(failed.name),
        failed,
        draft.status,
    )
    situation = replace(draft.situation, ended=end_of(failed))
    return replace(draft, situation=situation, steps=move.steps)


def end_of(failed: Stage) -> Obstacle:
    """Return why a run has ended without a result: the stage that was given up."""
    reason = Reason(failed.reason) if failed.reason else Reason.ATTEMPT_FAILED
    return Obstacle(reason, f"{failed.name}: {failed.message or 'failed'}")


def too_late(world: World, settings: Settings, draft: Draft, limit: int) -> Draft:
    """runPolicy.activeDeadlineSeconds have passed: stop what works, and stay stopped."""
    message = (
        f"The run was active for {duration(limit)}, which is runPolicy.activeDeadlineSeconds. What "
        "was done is saved: raise the limit, and it goes on."
    )
    stages: list[Stage] = []
    steps: list[Step] = []
    for stage in draft.status.stages:
        one, told = stopped(stage, world)
        stages.append(one)
        steps += told
    first = draft.status.finished_at is None
    events = (Event("Warning", Reason.DEADLINE_EXCEEDED, message),) if first else ()
    steps += forced(world, settings)
    ended = Obstacle(Reason.DEADLINE_EXCEEDED, message)
    situation = replace(draft.situation, stages=stages, ended=ended)
    status = draft.status.model_copy(update={"stages": tuple(stages)})
    again = 5 if _lives(world) else None
    return Draft(situation, status, tuple(steps), (*draft.events, *events), again)


def _lives(world: World) -> list[str]:
    pods = [pod for one in world.children for pod in one.pods]
    return [pod.name for pod in (*pods, *world.strangers) if not pod.is_over]
