"""One pass over one run: everything that was observed in, everything that shall happen out. Pure.

deleted?            nothing: children go by their owner references
unreadable?         Stalled, with the sentence
asked to retry?     failures of the stalled stage are forgotten
suspended, late?    children are told to stop
finished?           pods are removed when their time has come
otherwise           belongings are made, and the first stage that is not done moves on
"""

from __future__ import annotations

from dataclasses import replace

from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.api.status import Status
from uncensor_operator.names import Annotation, Reason, StageState
from uncensor_operator.plan import belongings
from uncensor_operator.plan.clocks import elapsed, reopened
from uncensor_operator.plan.conditions import Situation
from uncensor_operator.plan.course import Course, Move, is_done, named, reset
from uncensor_operator.plan.drafting import Draft, bound, finished
from uncensor_operator.plan.ending import end_of, given_up, held, over, resumed, too_late
from uncensor_operator.plan.leftovers import forced
from uncensor_operator.plan.outcome import Create, Delete, Event, Plan, Step
from uncensor_operator.plan.placement import Obstacle
from uncensor_operator.plan.resolving import (
    Read,
    course_of,
    first_left,
    has_ended,
    read_spec,
    turn,
    valid,
)
from uncensor_operator.plan.stages import advance
from uncensor_operator.plan.times import time_text
from uncensor_operator.plan.volume import claim_lost, with_claim
from uncensor_operator.plan.world import World
from uncensor_operator.settings import Settings
from uncensor_trainer.runfile import RunFile


def plan(world: World, settings: Settings) -> Plan:
    """Return everything that shall happen to a run now."""
    if "deletionTimestamp" in world.manifest["metadata"]:
        # Children and pods go by themselves; only what hangs on lost nodes needs a hand.
        return Plan(steps=forced(world, settings), again_in=10 if world.children else None)
    status = world.status
    if status.started_at is None:
        status = status.model_copy(update={"started_at": time_text(world.now)})
    read = read_spec(world, settings)
    if isinstance(read, Obstacle):
        if world.training is not None and world.training.spec.suspend:
            # Whatever else is wrong: what runs was told to stop.
            return finished(world, held(world, settings, status))
        return stuck(world, read)
    draft = _draft(world, settings, read, status)
    return finished(world, draft) if world.refused is None else _learnt(world, draft, world.refused)


def _learnt(world: World, draft: Draft, refused: Obstacle) -> Plan:
    """Return the plan of a pass whose steps were refused: it keeps what it found, and says why."""
    if draft.situation.held:
        return stuck(world, refused)
    situation = replace(draft.situation, obstacle=draft.situation.obstacle or refused)
    return finished(world, replace(draft, steps=(), situation=situation))


def stuck(world: World, obstacle: Obstacle) -> Plan:
    """Return the plan of a run that cannot go on as things are: it only says so."""
    status = world.status
    if status.started_at is None:
        status = status.model_copy(update={"started_at": time_text(world.now)})
    situation = Situation(
        stages=status.stages,
        current=first_left(status.stages),
        obstacle=obstacle,
        workspace=bound(world),
    )
    return finished(world, Draft(situation, status))


def _draft(world: World, settings: Settings, read: Read, status: Status) -> Draft:
    stages = tuple(valid(named(status.stages, one.name), one) for one in read.run.stages)
    status, stages, events = _retried(world, status, stages)
    status = status.model_copy(update={"stages": stages})
    current = turn(read.run, stages)
    if read.spec.suspend and not has_ended(read.run, current):
        return held(world, settings, status)
    status, told = resumed(world, status)
    draft = Draft(Situation(stages=stages, current=current), status, events=(*events, *told))
    if current is None:
        return over(world, read.spec, draft)
    limit = read.spec.run_policy.active_deadline_seconds
    if limit is not None and elapsed(status, world) >= limit:
        return over(world, read.spec, too_late(world, settings, draft, limit))
    if has_ended(read.run, current):
        return over(world, read.spec, given_up(world, settings, read, draft))
    return _moved(world, settings, read, draft)


def _retried(
    world: World, status: Status, stages: tuple[Stage, ...]
) -> tuple[Status, tuple[Stage, ...], tuple[Event, ...]]:
    """Follow a new value of the retry annotation."""
    asked = world.manifest["metadata"].get("annotations", {}).get(Annotation.RETRY)
    # Compared as the status can hold it, else a longer one would be followed in every pass.
    wanted = asked[:256] if asked is not None else None
    if wanted is None or wanted == status.retried:
        return status, stages, ()
    status = reopened(status.model_copy(update={"retried": wanted}), world)
    failed = [one.name for one in stages if one.state is StageState.FAILED or one.retry_at]
    stages = tuple(reset(one) if one.name in failed else one for one in stages)
    if not failed:
        return status, stages, ()
    told = f"Trying {', '.join(failed)} again, as asked."
    return status, stages, (Event("Normal", Reason.RETRY_REQUESTED, told),)


def _moved(world: World, settings: Settings, read: Read, draft: Draft) -> Draft:
    """Make what is missing, then let the stages move until one has to wait."""
    spec = read.spec
    draft = with_claim(world, spec, draft)
    status = reopened(draft.status, world)
    blocked = belongings.claim_obstacle(spec, world.claim, world.warnings, world.now)
    blocked = blocked or claim_lost(world, status)
    if blocked is not None:
        # What runs goes on; nothing new begins on a volume that is not there.
        return replace(
            draft,
            status=status,
            situation=replace(draft.situation, obstacle=blocked, workspace=blocked.message),
            again_in=15,
        )
    made, run_file = _belongings(world, settings, read)
    course = course_of(world, settings, read, status, run_file)
    draft = replace(draft, status=status, steps=(*draft.steps, *made))
    return _stages_moved(course, read.run, draft)


def _stages_moved(course: Course, run: RunFile, draft: Draft) -> Draft:
    status, steps, events = draft.status, draft.steps, draft.events
    stages = {one.name: one for one in status.stages}
    move: Move | None = None
    for planned in run.stages:
        if is_done(stages[planned.name], planned):
            continue
        move = advance(course, planned, stages[planned.name], status)
        stages[planned.name], status = move.stage, move.status
        steps, events = (*steps, *move.steps), (*events, *move.events)
        if not is_done(move.stage, planned):
            break
    ordered = tuple(stages[one.name] for one in run.stages)
    status = status.model_copy(update={"stages": ordered})
    current = turn(run, ordered)
    strays = _strays(course.world, current)
    ended = _ended(current, move) if current else None
    situation = replace(
        draft.situation,
        stages=ordered,
        current=current,
        ended=ended,
        obstacle=move.obstacle if move else None,
        waits=move.waits if move else "",
    )
    moved = Draft(situation, status, (*strays, *steps), events, move.again_in if move else None)
    return moved if current else over(course.world, course.spec, moved)


def _ended(current: Stage, move: Move | None) -> Obstacle | None:
    if current.state is not StageState.FAILED or move is None:
        return None
    return end_of(current)


def _belongings(world: World, settings: Settings, read: Read) -> tuple[tuple[Step, ...], str]:
    """Steps that make what the next attempt needs, and the name of its run file."""
    run_file = belongings.run_file(world.manifest, read.run)
    name = str(run_file["metadata"]["name"])
    steps: list[Step] = []
    if name not in world.config_maps:
        steps.append(Create(run_file))
    for policy in belongings.policies(world.manifest, settings, read.run):
        if policy["metadata"]["name"] not in world.policies:
            steps.append(Create(policy))
    return tuple(steps), name


def _strays(world: World, current: Stage | None) -> tuple[Step, ...]:
    """Attempts of other stages than the current one: their inputs were changed under them.

    Current is the stage that the run has come to in this pass: its attempt may have been created
    by a pass that died before it could write so.
    """
    return tuple(
        Delete(one.kind, one.name, one.uid)
        for one in world.children
        if current is not None
        and one.stage != current.name
        and not one.is_over
        and not one.deleting
    )
