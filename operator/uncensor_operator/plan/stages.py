"""One stage of one run, one pass further: watch its attempt, judge its end, start the next one.

A stage's status is its memory. An attempt is *open* from its creation until it is judged; a judged
attempt has left its mark in the status (SUCCEEDED, FAILED, or QUEUED with `retry_at`), so that a
pass that is repeated after a crash judges nothing twice. What destroys something happens only
after its reason has been written: a child that must go is deleted in the pass after its judgement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from uncensor_operator.api.status import LastCheckpoint, Progress, Status, TrainingStatus
from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.api.v1alpha1 import Spec
from uncensor_operator.names import Reason, StageName, StageState
from uncensor_operator.plan.absorbing import Summary, absorb, decimal
from uncensor_operator.plan.attempts import (
    cannot_start,
    decisive_exit,
    disruption_of,
    last_words_are_due,
    obstacle_of,
    saved_step,
    silent_seconds,
    taken_away,
    waiting_of,
)
from uncensor_operator.plan.failure import Count, Failure, Limits, Verdict, decide
from uncensor_operator.plan.naming import child_name
from uncensor_operator.plan.outcome import Create, Delete, Event, Step
from uncensor_operator.plan.placement import TRAINING, Obstacle
from uncensor_operator.plan.pods import Pod
from uncensor_operator.plan.times import later, read_time, seconds_since, time_text
from uncensor_operator.plan.words import cut
from uncensor_operator.plan.workloads import Order, child, kind_of
from uncensor_operator.plan.world import Child, LiveProgress, World
from uncensor_operator.settings import Pool, Settings
from uncensor_trainer.runfile import RunFile, StagePlan

DONE = frozenset({StageState.SUCCEEDED, StageState.SKIPPED})
# A broken attempt has nothing left to save together; its survivors only wait for the dead.
BROKEN_GRACE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Course:
    """What all stages of a pass have in common.

    Attributes:
        run: the resolved run, with the digest of each stage.
        run_file: name of the ConfigMap with the run file of the next attempt.
        needs: sentence about the memory that a training needs; empty while unknown.
        does_not_fit: why no training may start; None when it may.
    """

    world: World
    spec: Spec
    settings: Settings
    pool: Pool
    run: RunFile
    run_file: str
    claim: str
    needs: str = ""
    does_not_fit: Obstacle | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """What a stage's pass comes to.

    Attributes:
        stage: its status afterwards.
        status: the run's status, with what the stage found.
        waits: what the run waits for, as a sentence; empty when it works.
        obstacle: why it cannot go on as things are.
    """

    stage: Stage
    status: Status
    steps: tuple[Step, ...] = ()
    events: tuple[Event, ...] = ()
    waits: str = ""
    obstacle: Obstacle | None = None
    again_in: float | None = None


def advance(course: Course, plan: StagePlan, before: Stage, status: Status) -> Move:
    """Return what happens with the stage that is the run's turn."""
    newest = _newest(course.world, plan.name)
    if before.state is StageState.FAILED and before.input_digest == plan.digest:
        return Move(before, status, steps=_cleaning(course, before))
    if _is_stale(before, newest, plan):
        return _forget(course, before, newest, status)
    if _is_open(before, newest):
        return _watch(course, before, newest, status)
    return _begin(course, plan, before, status)


def _newest(world: World, stage: str) -> Child | None:
    found = [one for one in world.children if one.stage == stage]
    return max(found, key=lambda one: one.attempt, default=None)


def _is_open(before: Stage, newest: Child | None) -> bool:
    if newest is not None and newest.attempt > before.attempts:
        return True
    waits = before.state is StageState.QUEUED and before.retry_at is None
    return before.state is StageState.RUNNING or waits


def _is_stale(before: Stage, newest: Child | None, plan: StagePlan) -> bool:
    """Whether the spec was changed under an open attempt."""
    if not _is_open(before, newest):
        return False
    digest = newest.digest if newest is not None else before.input_digest
    return digest != plan.digest


def _forget(course: Course, before: Stage, newest: Child | None, status: Status) -> Move:
    """End an attempt whose settings are no longer wanted; it counts as nothing."""
    steps = (
        () if newest is None or newest.is_over else (Delete(newest.kind, newest.name, newest.uid),)
    )
    attempts = max(before.attempts, newest.attempt if newest else 0)
    stage = Stage(
        name=before.name,
        state=StageState.PENDING,
        attempts=attempts,
        started_at=before.started_at,
        message="The settings changed; starting again.",
    )
    return Move(stage, status, steps=steps, waits="The settings changed.", again_in=0)


def _watch(course: Course, before: Stage, newest: Child | None, status: Status) -> Move:
    """Look at an open attempt."""
    if newest is None or newest.attempt < before.attempts:
        lost = _failure(course, before, None, disrupted=f"{before.child} was deleted by somebody")
        return _judged(course, before, status, lost)
    stage = _adopted(before, newest)
    status = _training_begun(stage, newest, status)
    if newest.is_over and last_words_are_due(newest, course.world.now):
        return Move(stage, status, waits=f"{newest.name} has ended.", again_in=1)
    if newest.succeeded:
        return _succeeded(course, stage, newest, status)
    if newest.failed:
        failure = _failure(course, stage, newest, disrupted=taken_away(newest))
        return _judged(course, stage, _with_checkpoint(course, stage, newest, status), failure)
    if newest.deleting:
        return Move(stage, status, waits=f"{newest.name} is ending.")
    return _working(course, stage, newest, status)


def _adopted(before: Stage, newest: Child) -> Stage:
    """The status of an attempt that this operator, or one before it, has begun."""
    if before.attempts == newest.attempt and before.child == newest.name:
        return before
    if before.input_digest not in (None, newest.digest):
        before = reset(before)
    return before.model_copy(
        update={
            "state": StageState.QUEUED,
            "attempts": newest.attempt,
            "child": newest.name,
            "input_digest": newest.digest,
            "started_at": before.started_at or time_text(newest.created),
            "retry_at": None,
            "finished_at": None,
            "progress": None,
            "message": f"The pods of {newest.name} are starting.",
        }
    )


def _training_begun(stage: Stage, newest: Child, status: Status) -> Status:
    """From its first attempt on, the spec is frozen, also if who created it died right after."""
    training = status.training or TrainingStatus()
    if StageName(stage.name) not in TRAINING or training.started_at is not None:
        return status
    begun = training.model_copy(update={"started_at": time_text(newest.created)})
    return status.model_copy(update={"training": begun})


def _working(course: Course, stage: Stage, newest: Child, status: Status) -> Move:
    """An attempt that is neither over nor being deleted."""
    policy, world = course.spec.run_policy, course.world
    late = cannot_start(newest, world, policy.start_deadline_seconds)
    broken = disruption_of(newest, world)
    training = StageName(stage.name) in TRAINING
    silent = silent_seconds(newest, world) if training else 0
    hangs = silent if silent > policy.stall_timeout_seconds else 0
    if late or broken or hangs:
        failure = _failure(course, stage, newest, disrupted=broken)
        failure = replace(failure, cannot_start=late, hanging=hangs)
        return _judged(course, stage, _with_checkpoint(course, stage, newest, status), failure)
    obstacle = obstacle_of(newest, world)
    waiting = waiting_of(newest)
    if waiting is not None:
        queued = stage.model_copy(
            update={"state": StageState.QUEUED, "message": cut(waiting.message)}
        )
        return Move(
            queued, status, waits=waiting.message, obstacle=obstacle, again_in=_soon(newest, world)
        )
    return _running(course, stage, newest, status, obstacle)


def _running(
    course: Course, stage: Stage, newest: Child, status: Status, obstacle: Obstacle | None
) -> Move:
    progress = course.world.progress.get(newest.name)
    running = stage.model_copy(
        update={
            "state": StageState.RUNNING,
            "message": None,
            "progress": _progress(progress) or stage.progress,
        }
    )
    started = stage.state is not StageState.RUNNING
    events = (_told("Normal", Reason.RUNNING, f"{newest.name} runs."),) if started else ()
    changed = _with_checkpoint(course, stage, newest, status)
    return Move(
        running, changed, events=events, obstacle=obstacle, again_in=_watching(course, stage)
    )


def _succeeded(course: Course, stage: Stage, newest: Child, status: Status) -> Move:
    end = newest.speaker.exit if newest.speaker else None
    outcome = end.outcome if end else {}
    skipped = outcome.get("outcome") == "skipped"
    found = outcome.get("summary")
    summary: Summary = found if isinstance(found, dict) else {}
    done = stage.model_copy(
        update={
            "state": StageState.SKIPPED if skipped else StageState.SUCCEEDED,
            "finished_at": time_text((end and end.finished_at) or course.world.now),
            "message": "Complete already, made from the same inputs." if skipped else None,
            "reason": None,
            "retry_at": None,
            "fruitless": 0,
            "progress": None,
        }
    )
    reason = Reason.STAGE_SKIPPED if skipped else Reason.STAGE_DONE
    word = "was complete already" if skipped else "is done"
    # A training that saved its last checkpoint between two looks at its log has told it now.
    changed = _with_checkpoint(course, stage, newest, status)
    changed = absorb(changed, course.world.name, stage.name, summary)
    return Move(done, changed, events=(_told("Normal", reason, f"{stage.name} {word}."),))


def _failure(course: Course, stage: Stage, newest: Child | None, *, disrupted: str) -> Failure:
    policy, settings = course.spec.run_policy, course.settings
    training = StageName(stage.name) in TRAINING
    saved = saved_step(newest, course.world) if newest else None
    return Failure(
        stage=stage.name,
        is_training=training,
        limits=Limits(
            backoff_limit=policy.backoff_limit,
            max_interruptions=policy.max_infrastructure_restarts,
            no_progress_limit=policy.no_progress_limit,
            first_seconds=settings.retries.first_seconds,
            longest_seconds=settings.retries.longest_seconds,
        ),
        exit=decisive_exit(newest) if newest else None,
        disrupted=disrupted,
        said=newest.said if newest else "",
        failures=stage.failures,
        fruitless=stage.fruitless,
        interruptions=sum(one.interruptions for one in course.world.status.stages),
        progressed=saved is not None and saved > (stage.start_step or 0),
        saved=saved,
        micro_batch=course.run.training.micro_batch_size,
        halved=stage.micro_batch_size is not None,
        needs=course.needs,
    )


def _judged(course: Course, stage: Stage, status: Status, failure: Failure) -> Move:
    """Write a failed attempt's mark into the stage."""
    decision = decide(failure)
    now, free = course.world.now, decision.count is Count.INTERRUPTION
    final = decision.verdict is Verdict.GIVE_UP
    fruitless = 0 if failure.progressed else stage.fruitless + 1
    marked = stage.model_copy(
        update={
            "state": StageState.FAILED if final else StageState.QUEUED,
            "failures": stage.failures + (not free),
            "interruptions": stage.interruptions + free,
            "fruitless": stage.fruitless if free else fruitless,
            "reason": decision.reason.value,
            "message": cut(decision.message),
            "retry_at": None if final else later(now, decision.delay_seconds),
            "start_step": _newest_step(stage.start_step, failure.saved),
            "finished_at": time_text(now) if final else None,
            "micro_batch_size": failure.micro_batch // 2
            if decision.halve
            else stage.micro_batch_size,
        }
    )
    event = _told("Warning", decision.reason, f"{stage.child}: {decision.message}")
    return Move(marked, status, events=(event,), waits=decision.message, again_in=0)


def _newest_step(known: int | None, saved: int | None) -> int | None:
    return max((one for one in (known, saved) if one is not None), default=None)


def _begin(course: Course, plan: StagePlan, before: Stage, status: Status) -> Move:
    """Start the next attempt once nothing of an earlier one runs and the wait is over."""
    if before.input_digest not in (None, plan.digest):
        before = reset(before)
    cleaning = _cleaning(course, before)
    if cleaning or _living(course.world):
        text = "Pods of an earlier attempt are still ending."
        return Move(before, status, steps=cleaning, waits=text, again_in=_ending(course))
    now = course.world.now
    due = read_time(before.retry_at)
    if due is not None and due > now:
        text = before.message or "Waiting before the next attempt."
        return Move(before, status, waits=text, again_in=(due - now).total_seconds())
    stage = StageName(plan.name)
    if stage in TRAINING and course.does_not_fit is not None:
        return Move(before, status, obstacle=course.does_not_fit)
    return _created(course, plan, before, status)


def _created(course: Course, plan: StagePlan, before: Stage, status: Status) -> Move:
    world, stage = course.world, StageName(plan.name)
    attempt = before.attempts + 1
    name = child_name(world.name, plan.name, attempt)
    order = Order(
        manifest=world.manifest,
        spec=course.spec,
        stage=stage,
        attempt=attempt,
        digest=plan.digest,
        run_file=course.run_file,
        claim=course.claim,
        pool=course.pool,
        settings=course.settings,
    )
    now = time_text(world.now)
    training = status.training or TrainingStatus()
    checkpoint = training.last_checkpoint
    fresh = before.input_digest not in (None, plan.digest)
    begun = before.model_copy(
        update={
            "state": StageState.QUEUED,
            "attempts": attempt,
            "child": name,
            "input_digest": plan.digest,
            "started_at": now if fresh or before.started_at is None else before.started_at,
            "finished_at": None,
            "retry_at": None,
            "progress": None,
            "message": f"The pods of {name} are starting.",
            "start_step": checkpoint.step
            if checkpoint and stage is StageName.TRAIN
            else before.start_step,
        }
    )
    if stage in TRAINING:
        training = training.model_copy(update={"started_at": training.started_at or now})
        status = status.model_copy(update={"training": training})
    event = _told("Normal", Reason.QUEUED, f"Created {kind_of(stage)} {name}.")
    return Move(
        begun, status, steps=(Create(child(order)),), events=(event,), waits=begun.message or ""
    )


def _cleaning(course: Course, stage: Stage) -> tuple[Step, ...]:
    """What is left of judged attempts: children that still work, pods that do not end."""
    steps: list[Step] = []
    for one in course.world.children:
        if one.stage != stage.name or one.succeeded:
            continue
        if not one.is_over and not one.deleting:
            steps.append(Delete(one.kind, one.name, one.uid))
        if stage.reason is not None:
            steps += [
                Delete("Pod", pod.name, pod.uid, grace_seconds=BROKEN_GRACE_SECONDS)
                for pod in one.pods
                if _lingers(pod, course.world.now)
            ]
    return (*steps, *forced(course.world, course.settings))


def _lingers(pod: Pod, now: datetime) -> bool:
    """Whether a pod of a broken attempt would go on waiting for the dead."""
    if pod.is_over:
        return False
    left = (pod.gone_by - now).total_seconds() if pod.gone_by else float("inf")
    return left > BROKEN_GRACE_SECONDS + 1


def forced(world: World, settings: Settings) -> tuple[Step, ...]:
    """Remove pods by force that hang in Terminating on nodes that are gone.

    Only the kubelet of such a node could end them, and it does not answer. Should the node only be
    cut off, the trainer's writer mark on the workspace keeps the old pods from saving anything.
    """
    grace = settings.cleaning.force_delete_seconds
    stuck = [
        pod
        for pod in _living(world)
        if pod.node in world.absent_nodes
        and pod.deleting_since is not None
        and (world.now - pod.deleting_since).total_seconds() >= grace
    ]
    return tuple(Delete("Pod", pod.name, pod.uid, grace_seconds=0) for pod in stuck)


def _living(world: World) -> list[Pod]:
    """Pods that may still write, which those of a stage that is done do not."""
    pods = [pod for one in world.children if not one.succeeded for pod in one.pods]
    return [pod for pod in (*pods, *world.strangers) if not pod.is_over]


def _with_checkpoint(course: Course, stage: Stage, newest: Child, status: Status) -> Status:
    """The status of the training, as the log of the filtered arm tells it."""
    if stage.name != StageName.TRAIN:
        return status
    found = course.world.progress.get(newest.name)
    saved = saved_step(newest, course.world)
    before = status.training or TrainingStatus()
    update: dict[str, object] = {
        key: value
        for key in ("loss", "epoch", "tokens_per_second", "mfu")
        if (value := decimal(getattr(found, key, None))) is not None
    }
    last = before.last_checkpoint
    if saved is not None and (last is None or saved > last.step):
        moment = (found and found.checkpoint_at) or course.world.now
        update["last_checkpoint"] = LastCheckpoint(step=saved, time=time_text(moment))
    if not update:
        return status
    return status.model_copy(update={"training": before.model_copy(update=update)})


def _progress(found: LiveProgress | None) -> Progress | None:
    if found is None or found.step is None:
        return None
    percent = int(100 * found.step / found.total) if found.total else None
    return Progress(
        step=found.step,
        total_steps=found.total,
        percent=min(100, percent) if percent is not None else None,
        eta_seconds=max(0, round(min(found.eta_seconds, 1e15)))
        if found.eta_seconds is not None
        else None,
    )


def _told(kind: str, reason: Reason, message: str) -> Event:
    return Event("Normal" if kind == "Normal" else "Warning", reason, cut(message, 1000))


def _soon(newest: Child, world: World) -> float:
    """When an attempt that waits must be looked at again: patience first, then now and then."""
    age = (world.now - newest.created).total_seconds()
    return 5.0 if age < 60 else 30.0  # noqa: PLR2004 - a minute of attention


def _watching(course: Course, stage: Stage) -> float:
    """A hang shows by nothing happening, so somebody must look."""
    return max(1.0, min(60.0, course.spec.run_policy.stall_timeout_seconds / 4))


def _ending(course: Course) -> float:
    return max(1.0, min(10.0, course.settings.cleaning.force_delete_seconds / 4))


def reset(stage: Stage) -> Stage:
    """Return a failed stage as a person's request for a retry leaves it."""
    return stage.model_copy(
        update={
            "state": StageState.PENDING,
            "failures": 0,
            "interruptions": 0,
            "fruitless": 0,
            "retry_at": None,
            "finished_at": None,
            "reason": None,
            "message": None,
        }
    )


def stopped(stage: Stage, world: World) -> tuple[Stage, tuple[Step, ...]]:
    """Return a stage whose attempt is told to stop, and the steps that tell it."""
    newest = _newest(world, stage.name)
    steps = tuple(
        Delete(one.kind, one.name, one.uid)
        for one in world.children
        if one.stage == stage.name and not one.is_over and not one.deleting
    )
    if not _is_open(stage, newest) or (newest is not None and newest.is_over):
        return stage, steps
    attempts = max(stage.attempts, newest.attempt if newest else 0)
    message = "Told to stop; what was done is saved."
    update = {"state": StageState.STOPPED, "attempts": attempts, "message": message}
    return stage.model_copy(update=update), steps


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


def named(stages: Sequence[Stage], name: str) -> Stage:
    """Return the status of a stage, a new one when it has none."""
    found = next((one for one in stages if one.name == name), None)
    return found or Stage(name=name, state=StageState.PENDING)
