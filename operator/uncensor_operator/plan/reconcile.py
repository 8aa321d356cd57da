"""One pass over one run: everything that was observed in, everything that shall happen out. Pure.

deleted?            nothing: children go by their owner references
unreadable?         Stalled, with the sentence
asked to retry?     failures of the stalled stage are forgotten
suspended, late?    children are told to stop
finished?           pods are removed when their time has come
otherwise           belongings are made, and the first stage that is not done moves on
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from uncensor_operator.api.status import Columns, Restarts, Status, WorkspaceStatus
from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.api.unsupported import unsupported
from uncensor_operator.api.v1alpha1 import Spec
from uncensor_operator.errors import UncensorError
from uncensor_operator.names import (
    Annotation,
    ConditionStatus,
    ConditionType,
    Reason,
    StageState,
)
from uncensor_operator.plan import belongings
from uncensor_operator.plan.conditions import Situation, conditions, phase
from uncensor_operator.plan.fitting import does_not_fit, needs_sentence
from uncensor_operator.plan.naming import claim_name, owner
from uncensor_operator.plan.outcome import Create, Delete, Event, Patch, Plan, Step
from uncensor_operator.plan.pipeline import with_stages
from uncensor_operator.plan.placement import Obstacle, pool_of
from uncensor_operator.plan.podspec import WORKSPACE
from uncensor_operator.plan.runfile import on_cluster, resolve
from uncensor_operator.plan.stages import (
    DONE,
    Course,
    Move,
    advance,
    elapsed,
    forced,
    named,
    reopened,
    reset,
    stopped,
)
from uncensor_operator.plan.times import read_time, time_text
from uncensor_operator.plan.words import cut, duration
from uncensor_operator.plan.world import World
from uncensor_operator.quantities import quantity_bytes
from uncensor_operator.settings import Pool, Settings
from uncensor_trainer.runfile import RunFile, StagePlan


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


def plan(world: World, settings: Settings) -> Plan:
    """Return everything that shall happen to a run now."""
    if "deletionTimestamp" in world.manifest["metadata"]:
        # Children and pods go by themselves; only what hangs on lost nodes needs a hand.
        return Plan(steps=forced(world, settings), again_in=10 if world.children else None)
    status = world.status
    if status.started_at is None:
        status = status.model_copy(update={"started_at": time_text(world.now)})
    read = _read(world, settings)
    if isinstance(read, Obstacle):
        if world.training is not None and world.training.spec.suspend:
            # Whatever else is wrong: what runs was told to stop.
            return _finished(world, _held(world, settings, status))
        return stuck(world, read)
    return _finished(world, _draft(world, settings, read, status))


def stuck(world: World, obstacle: Obstacle) -> Plan:
    """Return the plan of a run that cannot go on as things are: it only says so."""
    status = world.status
    if status.started_at is None:
        status = status.model_copy(update={"started_at": time_text(world.now)})
    situation = Situation(
        stages=status.stages,
        current=_first(status.stages),
        obstacle=obstacle,
        workspace=_bound(world),
    )
    return _finished(world, Draft(situation, status))


def _bound(world: World) -> str | None:
    return "" if world.claim is not None and world.claim.phase == "Bound" else None


@dataclass(frozen=True, slots=True)
class Read:
    """What the spec means here."""

    spec: Spec
    pool: Pool
    run: RunFile


def _read(world: World, settings: Settings) -> Read | Obstacle:
    """Resolve the spec, or say what is wrong with it."""
    training = world.training
    if training is None:
        return Obstacle(Reason.INVALID_INPUT, world.problem)
    missing = unsupported(training)
    if missing:
        return Obstacle(Reason.NOT_SUPPORTED, "; ".join(str(one) for one in missing))
    pool = pool_of(training.spec, settings)
    if isinstance(pool, Obstacle):
        return pool
    train = named(world.status.stages, "train").micro_batch_size
    control = named(world.status.stages, "train-control").micro_batch_size
    lowered = min((one for one in (train, control) if one is not None), default=None)
    try:
        run = resolve(
            training,
            workspace=WORKSPACE,
            compute=on_cluster(training.spec.compute),
            largest_micro_batch=lowered,
        )
    except UncensorError as error:
        return Obstacle(Reason.INVALID_INPUT, str(error))
    return Read(training.spec, pool, with_stages(run, {}))


def _draft(world: World, settings: Settings, read: Read, status: Status) -> Draft:
    stages = tuple(_valid(named(status.stages, one.name), one) for one in read.run.stages)
    status, stages, events = _retried(world, status, stages)
    status = status.model_copy(update={"stages": stages})
    current = _turn(read.run, stages)
    if read.spec.suspend and not _has_ended(read.run, current):
        return _held(world, settings, status)
    status, resumed = _resumed(world, status)
    draft = Draft(Situation(stages=stages, current=current), status, events=(*events, *resumed))
    if current is None:
        return _over(world, read.spec, draft)
    limit = read.spec.run_policy.active_deadline_seconds
    if limit is not None and elapsed(status, world) >= limit:
        return _over(world, read.spec, _too_late(world, settings, draft, limit))
    if _has_ended(read.run, current):
        return _over(world, read.spec, _given_up(world, settings, read, draft))
    return _moved(world, settings, read, draft)


def _turn(run: RunFile, stages: tuple[Stage, ...]) -> Stage | None:
    """The first stage whose output is not there, or was made from other inputs."""
    for planned, stage in zip(run.stages, stages, strict=True):
        if stage.state not in DONE or stage.input_digest != planned.digest:
            return stage
    return None


def _valid(stage: Stage, planned: StagePlan) -> Stage:
    """A stage as it is; one whose output was made from other inputs has yet to be done."""
    if stage.state in DONE and stage.input_digest != planned.digest:
        return reset(stage)
    return stage


def _first(stages: tuple[Stage, ...]) -> Stage | None:
    left = [one for one in stages if one.state not in DONE]
    return left[0] if left else Stage(name="pending", state=StageState.PENDING)


def _has_ended(run: RunFile, current: Stage | None) -> bool:
    """Whether nothing is left to be done or held back: all is done, or a stage was given up."""
    if current is None:
        return True
    same = run.stage(current.name).digest == current.input_digest
    return current.state is StageState.FAILED and same


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


def _held(world: World, settings: Settings, status: Status) -> Draft:
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
        current=_first(tuple(stages)),
        held=True,
        still=still,
        workspace=_bound(world),
    )
    return Draft(situation, status, tuple(steps), events, None if still else 5)


def _lives(world: World) -> list[str]:
    pods = [pod for one in world.children for pod in one.pods]
    return [pod.name for pod in (*pods, *world.strangers) if not pod.is_over]


def _resumed(world: World, status: Status) -> tuple[Status, tuple[Event, ...]]:
    since = read_time(status.suspended_at)
    if since is None:
        return status, ()
    # From its end on, a run is not active anyway: `reopened` leaves that time out.
    until = read_time(status.finished_at) or world.now
    held = max(0, round((until - since).total_seconds()))
    update = {"suspended_at": None, "suspended_seconds": status.suspended_seconds + held}
    return status.model_copy(update=update), (Event("Normal", Reason.RUNNING, "Resumed."),)


def _over(world: World, spec: Spec, draft: Draft) -> Draft:
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
        _with_claim(world, spec, draft), status=status, steps=steps, events=events, again_in=again
    )


def _given_up(world: World, settings: Settings, read: Read, draft: Draft) -> Draft:
    """A stage has failed for good; what is left of its attempt is removed."""
    failed = draft.situation.current
    assert failed is not None  # noqa: S101 - the caller looked
    reason = Reason(failed.reason) if failed.reason else Reason.ATTEMPT_FAILED
    ended = Obstacle(reason, f"{failed.name}: {failed.message or 'failed'}")
    move = advance(
        _course(world, settings, read, draft.status, ""),
        read.run.stage(failed.name),
        failed,
        draft.status,
    )
    situation = replace(draft.situation, ended=ended)
    return replace(draft, situation=situation, steps=move.steps)


def _too_late(world: World, settings: Settings, draft: Draft, limit: int) -> Draft:
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


def _moved(world: World, settings: Settings, read: Read, draft: Draft) -> Draft:
    """Make what is missing, then let the stages move until one has to wait."""
    spec = read.spec
    draft = _with_claim(world, spec, draft)
    status = reopened(draft.status, world)
    blocked = belongings.claim_obstacle(spec, world.claim, world.warnings, world.now)
    blocked = blocked or _claim_lost(world, status)
    if blocked is not None:
        # What runs goes on; nothing new begins on a volume that is not there.
        return replace(
            draft,
            status=status,
            situation=replace(draft.situation, obstacle=blocked, workspace=blocked.message),
            again_in=15,
        )
    made, run_file = _belongings(world, settings, read)
    course = _course(world, settings, read, status, run_file)
    draft = replace(draft, status=status, steps=(*draft.steps, *made))
    return _stages_moved(course, read.run, draft)


def _stages_moved(course: Course, run: RunFile, draft: Draft) -> Draft:
    status, steps, events = draft.status, draft.steps, draft.events
    stages = {one.name: one for one in status.stages}
    move: Move | None = None
    for planned in run.stages:
        if _is_done(stages[planned.name], planned):
            continue
        move = advance(course, planned, stages[planned.name], status)
        stages[planned.name], status = move.stage, move.status
        steps, events = (*steps, *move.steps), (*events, *move.events)
        if not _is_done(move.stage, planned):
            break
    ordered = tuple(stages[one.name] for one in run.stages)
    status = status.model_copy(update={"stages": ordered})
    current = _turn(run, ordered)
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
    return moved if current else _over(course.world, course.spec, moved)


def _is_done(stage: Stage, planned: StagePlan) -> bool:
    return stage.state in DONE and stage.input_digest == planned.digest


def _ended(current: Stage, move: Move | None) -> Obstacle | None:
    if current.state is not StageState.FAILED or move is None:
        return None
    reason = Reason(current.reason) if current.reason else Reason.ATTEMPT_FAILED
    return Obstacle(reason, f"{current.name}: {current.message or 'failed'}")


def _course(world: World, settings: Settings, read: Read, status: Status, run_file: str) -> Course:
    return Course(
        world=world,
        spec=read.spec,
        settings=settings,
        pool=read.pool,
        run=read.run,
        run_file=run_file,
        claim=read.spec.workspace.existing_claim or claim_name(world.name),
        needs=needs_sentence(read.run, read.pool, read.spec, status),
        does_not_fit=does_not_fit(read.run, read.pool, read.spec, status),
    )


def _belongings(world: World, settings: Settings, read: Read) -> tuple[tuple[Step, ...], str]:
    """Steps that make what the next attempt needs, and the name of its run file."""
    run_file = belongings.run_file(world.manifest, read.run)
    name = str(run_file["metadata"]["name"])
    steps: list[Step] = []
    if name not in world.config_maps:
        steps.append(Create(run_file))
    for policy in belongings.policies(world.manifest, settings):
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


def _with_claim(world: World, spec: Spec, draft: Draft) -> Draft:
    """The claim: made when it is missing, owned by the run exactly when it shall go with it."""
    found = world.claim
    if found is None:
        situation = draft.situation
        wanted = situation.current is not None and situation.ended is None
        wanted = wanted and _claim_lost(world, draft.status) is None
        missing = spec.workspace.existing_claim is None and wanted
        made: tuple[Step, ...] = (
            (Create(belongings.claim(world.manifest, spec)),) if missing else ()
        )
        return replace(draft, steps=(*draft.steps, *made))
    steps: tuple[Step, ...] = ()
    if found.ours and found.owned == spec.workspace.retain:
        owners = [] if spec.workspace.retain else [owner(world.manifest)]
        steps = (
            Patch("PersistentVolumeClaim", found.name, {"metadata": {"ownerReferences": owners}}),
        )
    capacity = quantity_bytes(found.capacity) if found.capacity else None
    workspace = WorkspaceStatus(
        claim=found.name, folder=f"runs/{world.name}", capacity_bytes=capacity
    )
    status = draft.status.model_copy(update={"workspace": workspace})
    bound = "" if found.phase == "Bound" else None
    situation = replace(draft.situation, workspace=bound)
    return replace(draft, status=status, situation=situation, steps=(*draft.steps, *steps))


def _claim_lost(world: World, status: Status) -> Obstacle | None:
    """A new, empty volume would silently begin a training anew that took weeks."""
    known = status.workspace.claim if status.workspace else None
    begun = any(one.attempts for one in status.stages)
    if world.claim is not None or known is None or not begun:
        return None
    return Obstacle(
        Reason.WORKSPACE_FAILURE,
        f"The claim {known} was deleted, and with it what the run had saved. Restore the volume "
        "and a claim of this name, or create a new run.",
    )


def _finished(world: World, draft: Draft) -> Plan:
    """Add what is derived from the rest: conditions, phase, columns."""
    status, situation = draft.status, draft.situation
    columns = (status.columns or Columns()).model_copy(
        update={"progress": _progress(situation), "model": _model(world)}
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


def _progress(situation: Situation) -> str | None:
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
