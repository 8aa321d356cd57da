"""One stage of one run, one pass further: watch its attempt, judge its end, start the next one.

A stage's status is its memory. An attempt is *open* from its creation until it is judged; a judged
attempt has left its mark in the status (SUCCEEDED, FAILED, or QUEUED with `retry_at`), so that a
pass that is repeated after a crash judges nothing twice. What destroys something happens only
after its reason has been written: a child that must go is deleted in the pass after its judgement.
"""

from __future__ import annotations

from dataclasses import replace

from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.api.status import Status, TrainingStatus
from uncensor_operator.names import Reason, StageName, StageState
from uncensor_operator.plan.absorbing import Summary, absorb
from uncensor_operator.plan.attempts import (
    cannot_start,
    disruption_of,
    last_words_are_due,
    obstacle_of,
    saved_step,
    silent_seconds,
    taken_away,
    waiting_of,
)
from uncensor_operator.plan.course import Course, Move, reset, told
from uncensor_operator.plan.failure import Failure
from uncensor_operator.plan.following import progress_of, with_checkpoint
from uncensor_operator.plan.goodput import with_attempt
from uncensor_operator.plan.judging import failure_of, judged
from uncensor_operator.plan.leftovers import cleaning, is_open, living, newest_attempt
from uncensor_operator.plan.naming import child_name
from uncensor_operator.plan.outcome import Create, Delete
from uncensor_operator.plan.placement import TRAINING, Obstacle
from uncensor_operator.plan.times import read_time, time_text
from uncensor_operator.plan.words import cut
from uncensor_operator.plan.workloads import Order, child, kind_of
from uncensor_operator.plan.world import Child, World
from uncensor_trainer.runfile import StagePlan

# The trainer notices a hang itself, and writes everybody's stacks before it ends: it goes first.
WATCHDOG_SECONDS = 15


def advance(course: Course, plan: StagePlan, before: Stage, status: Status) -> Move:
    """Return what happens with the stage that is the run's turn."""
    newest = newest_attempt(course.world, plan.name)
    if before.state is StageState.FAILED and before.input_digest == plan.digest:
        return Move(before, status, steps=cleaning(course, before))
    if _is_stale(before, newest, plan):
        return _forget(course, before, newest, status)
    if is_open(before, newest):
        return _watch(course, before, newest, status)
    return _begin(course, plan, before, status)


def _is_stale(before: Stage, newest: Child | None, plan: StagePlan) -> bool:
    """Whether the spec was changed under an open attempt."""
    if not is_open(before, newest):
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
        lost = failure_of(course, before, None, disrupted=f"{before.child} was deleted by somebody")
        return judged(course, before, status, lost)
    stage = _adopted(before, newest)
    status = _training_begun(stage, newest, status)
    if newest.is_over and last_words_are_due(newest, course.world.now):
        return Move(stage, status, waits=f"{newest.name} has ended.", again_in=1)
    if newest.succeeded:
        return _succeeded(course, stage, newest, status)
    if newest.failed:
        failure = failure_of(course, stage, newest, disrupted=taken_away(newest))
        return judged(course, stage, _told_by(course, stage, newest, status, failure), failure)
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
    hangs = silent if silent > policy.stall_timeout_seconds + WATCHDOG_SECONDS else 0
    if late or broken or hangs:
        failure = failure_of(course, stage, newest, disrupted=broken)
        failure = replace(failure, cannot_start=late, hanging=hangs)
        return judged(course, stage, _told_by(course, stage, newest, status, failure), failure)
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
            "progress": progress_of(progress) or stage.progress,
        }
    )
    started = stage.state is not StageState.RUNNING
    events = (told("Normal", Reason.RUNNING, f"{newest.name} runs."),) if started else ()
    changed = with_checkpoint(course, stage, newest, status)
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
    changed = with_checkpoint(course, stage, newest, status)
    if StageName(stage.name) in TRAINING:
        saved = saved_step(newest, course.world)
        changed = with_attempt(changed, stage, newest, course.world, saved)
    changed = absorb(changed, course.world.name, stage.name, summary)
    return Move(done, changed, events=(told("Normal", reason, f"{stage.name} {word}."),))


def _told_by(
    course: Course, stage: Stage, newest: Child, status: Status, failure: Failure
) -> Status:
    """The run's status with what a failed attempt leaves: its last checkpoint, its time."""
    status = with_checkpoint(course, stage, newest, status)
    if not failure.is_training:
        return status
    return with_attempt(status, stage, newest, course.world, failure.saved)


def _begin(course: Course, plan: StagePlan, before: Stage, status: Status) -> Move:
    """Start the next attempt once nothing of an earlier one runs and the wait is over."""
    if before.input_digest not in (None, plan.digest):
        before = reset(before)
    steps = cleaning(course, before)
    if steps or living(course.world):
        text = "Pods of an earlier attempt are still ending."
        return Move(before, status, steps=steps, waits=text, again_in=_ending(course))
    now = course.world.now
    due = read_time(before.retry_at)
    if due is not None and due > now:
        text = before.message or "Waiting before the next attempt."
        return Move(before, status, waits=text, again_in=(due - now).total_seconds())
    stage = StageName(plan.name)
    if stage in TRAINING and course.does_not_fit is not None:
        return Move(before, status, obstacle=course.does_not_fit)
    if course.world.refused is not None:
        return Move(before, status, obstacle=course.world.refused)
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
    event = told("Normal", Reason.QUEUED, f"Created {kind_of(stage)} {name}.")
    return Move(
        begun, status, steps=(Create(child(order)),), events=(event,), waits=begun.message or ""
    )


def _soon(newest: Child, world: World) -> float:
    """When an attempt that waits must be looked at again: patience first, then now and then."""
    age = (world.now - newest.created).total_seconds()
    return 5.0 if age < 60 else 30.0  # noqa: PLR2004 - a minute of attention


def _watching(course: Course, stage: Stage) -> float | None:
    """A hang of a training shows by nothing happening, so somebody must look."""
    if StageName(stage.name) not in TRAINING:
        return None
    return max(1.0, min(60.0, course.spec.run_policy.stall_timeout_seconds / 4))


def _ending(course: Course) -> float:
    return max(1.0, min(10.0, course.settings.cleaning.force_delete_seconds / 4))
