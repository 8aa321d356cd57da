"""The conditions of a run, as kubectl, Flux and Argo CD read them (kstatus).

Reconciling while the operator works, Stalled when nothing happens without a person, Ready when
all is done. Succeeded is for `kubectl wait`: Unknown until the end, and then for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from uncensor_operator.api.status import Condition, Status
from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.names import (
    ConditionStatus,
    ConditionType,
    Reason,
    StageName,
    StageState,
)
from uncensor_operator.plan.placement import Obstacle
from uncensor_operator.plan.times import time_text
from uncensor_operator.plan.words import cut

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
_DONE = (StageState.SUCCEEDED, StageState.SKIPPED)


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the conditions are made from.

    Attributes:
        stages: of the run, in order.
        current: the stage whose turn it is; None when all are done.
        obstacle: why the run cannot go on as things are; it goes on by itself once they change.
        ended: why it has ended for good without a result; None when it has not.
        held: suspended by its owner.
        still: whether nothing runs any more.
        waits: what the current stage waits for; empty when it works.
        workspace: why the volume cannot be used; empty when it can, None while it is unknown.
    """

    stages: Sequence[Stage]
    current: Stage | None
    obstacle: Obstacle | None = None
    ended: Obstacle | None = None
    held: bool = False
    still: bool = True
    waits: str = ""
    workspace: str | None = None


def conditions(
    situation: Situation, before: Status, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Return all conditions; one whose status stays keeps the time of its last change."""
    old = {one.type: one for one in before.conditions}
    found = []
    for kind, status, reason, message in _judgements(situation):
        same = old.get(kind)
        moment = same.last_transition_time if same and same.status is status else time_text(now)
        found.append(
            Condition(
                type=kind,
                status=status,
                reason=reason.value,
                message=cut(message),
                last_transition_time=moment,
                observed_generation=generation,
            )
        )
    return tuple(found)


def phase(situation: Situation) -> str:
    """Return the word for the column."""
    if situation.held:
        return "Suspended" if situation.still else "Suspending"
    if situation.ended is not None or situation.obstacle is not None:
        return "Stalled"
    if situation.current is None:
        return "Succeeded"
    return situation.current.name


_Judgement = tuple[ConditionType, ConditionStatus, Reason, str]


def _judgements(situation: Situation) -> Iterable[_Judgement]:
    yield from _main(situation)
    yield _suspended(situation)
    yield _workspace(situation)
    yield _reached(situation, ConditionType.DATASET_READY, (StageName.PREPARE,))
    arms = (StageName.TRAIN, StageName.TRAIN_CONTROL)
    yield _reached(situation, ConditionType.TRAINED, arms)
    yield _reached(situation, ConditionType.EVALUATED, (StageName.EVALUATE,))
    if any(stage.name == StageName.PUBLISH for stage in situation.stages):
        yield _reached(situation, ConditionType.PUBLISHED, (StageName.PUBLISH,))


def _main(situation: Situation) -> Iterable[_Judgement]:
    """Ready, Reconciling, Stalled and Succeeded tell one story."""
    reason, message = _story(situation)
    done = situation.current is None and situation.ended is None and not situation.held
    stalled = (situation.ended is not None or situation.obstacle is not None) and not situation.held
    works = not (done or stalled or situation.held)
    yield ConditionType.READY, TRUE if done else FALSE, reason, message
    yield ConditionType.RECONCILING, TRUE if works else FALSE, reason, message
    yield ConditionType.STALLED, TRUE if stalled else FALSE, reason, message
    final = TRUE if done else FALSE if situation.ended is not None else UNKNOWN
    yield ConditionType.SUCCEEDED, final, reason, message


def _story(situation: Situation) -> tuple[Reason, str]:
    """The one reason and sentence that matter most."""
    if situation.held:
        if situation.still:
            return Reason.SUSPENDED, "Suspended by spec.suspend; what was done is saved."
        return Reason.SUSPENDING, "Suspended by spec.suspend; pods are saving their state."
    trouble = situation.ended or situation.obstacle
    if trouble is not None:
        return trouble.reason, trouble.message
    if situation.current is None:
        return Reason.COMPLETED, "Every stage is done."
    return _doing(situation.current, situation.waits)


def _doing(current: Stage, waits: str) -> tuple[Reason, str]:
    if current.retry_at is not None:
        why = f"{current.message} " if current.message else ""
        return Reason.RETRYING, f"{why}Next attempt at {current.retry_at}."
    if waits:
        return Reason.QUEUED, waits
    if current.state is StageState.RUNNING:
        return Reason.RUNNING, f"{current.name} runs as {current.child}."
    return Reason.PENDING, f"{current.name} is about to begin."


def _suspended(situation: Situation) -> _Judgement:
    kind = ConditionType.SUSPENDED
    if not situation.held:
        return kind, FALSE, Reason.RUNNING, "Not suspended."
    if situation.still:
        return kind, TRUE, Reason.SUSPENDED, "Nothing runs; spec.suspend: false goes on from here."
    return kind, FALSE, Reason.SUSPENDING, "Pods are saving their state."


def _workspace(situation: Situation) -> _Judgement:
    kind, problem = ConditionType.WORKSPACE_READY, situation.workspace
    if problem is None:
        return kind, UNKNOWN, Reason.PENDING, "The claim is not bound yet."
    if problem:
        return kind, FALSE, Reason.WORKSPACE_FAILURE, problem
    return kind, TRUE, Reason.STAGE_DONE, "The claim is bound."


def _reached(situation: Situation, kind: ConditionType, names: Sequence[StageName]) -> _Judgement:
    """True once all stages of these names are done, False when one has failed for good."""
    stages = [one for one in situation.stages if one.name in names]
    failed = next((one for one in stages if one.state is StageState.FAILED), None)
    if failed is not None:
        reason = Reason(failed.reason) if failed.reason else Reason.ATTEMPT_FAILED
        return kind, FALSE, reason, failed.message or f"{failed.name} failed."
    if stages and all(one.state in _DONE for one in stages):
        return kind, TRUE, Reason.STAGE_DONE, f"{' and '.join(one.name for one in stages)}: done."
    return (
        kind,
        UNKNOWN,
        Reason.PENDING,
        f"{' and '.join(one.name for one in stages)}: not done yet.",
    )
