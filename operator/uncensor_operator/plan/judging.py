"""The end of an attempt, judged: what is known about it, and the mark that it leaves."""

from __future__ import annotations

from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.api.status import Status
from uncensor_operator.names import StageName, StageState
from uncensor_operator.plan.attempts import decisive_exit, saved_step
from uncensor_operator.plan.course import Course, Move, told
from uncensor_operator.plan.failure import Count, Failure, Limits, Verdict, decide
from uncensor_operator.plan.placement import TRAINING
from uncensor_operator.plan.times import later, time_text
from uncensor_operator.plan.words import cut
from uncensor_operator.plan.world import Child


def failure_of(course: Course, stage: Stage, newest: Child | None, *, disrupted: str) -> Failure:
    """Return all that is known about a failed attempt; None for one whose child is gone."""
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


def judged(course: Course, stage: Stage, status: Status, failure: Failure) -> Move:
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
    event = told("Warning", decision.reason, f"{stage.child}: {decision.message}")
    return Move(marked, status, events=(event,), waits=decision.message, again_in=0)


def _newest_step(known: int | None, saved: int | None) -> int | None:
    return max((one for one in (known, saved) if one is not None), default=None)
