"""What is left of attempts that are over, or told to stop: children to delete, pods to wait for."""

from __future__ import annotations

from datetime import datetime

from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.names import StageState
from uncensor_operator.plan.course import Course
from uncensor_operator.plan.outcome import Delete, Step
from uncensor_operator.plan.pods import Pod
from uncensor_operator.plan.world import Child, World
from uncensor_operator.settings import Settings

# A broken attempt has nothing left to save together; its survivors only wait for the dead.
BROKEN_GRACE_SECONDS = 10


def newest_attempt(world: World, stage: str) -> Child | None:
    """Return the child of a stage's last attempt; None when there is none (any more)."""
    found = [one for one in world.children if one.stage == stage]
    return max(found, key=lambda one: one.attempt, default=None)


def is_open(before: Stage, newest: Child | None) -> bool:
    """Tell whether an attempt was begun and not judged yet, by this operator or one before it."""
    if newest is not None and newest.attempt > before.attempts:
        return True
    waits = before.state is StageState.QUEUED and before.retry_at is None
    return before.state is StageState.RUNNING or waits


def cleaning(course: Course, stage: Stage) -> tuple[Step, ...]:
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
        for pod in living(world)
        if pod.node in world.absent_nodes
        and pod.deleting_since is not None
        and (world.now - pod.deleting_since).total_seconds() >= grace
    ]
    return tuple(Delete("Pod", pod.name, pod.uid, grace_seconds=0) for pod in stuck)


def living(world: World) -> list[Pod]:
    """Pods that may still write, which those of a stage that is done do not."""
    pods = [pod for one in world.children if not one.succeeded for pod in one.pods]
    return [pod for pod in (*pods, *world.strangers) if not pod.is_over]


def stopped(stage: Stage, world: World) -> tuple[Stage, tuple[Step, ...]]:
    """Return a stage whose attempt is told to stop, and the steps that tell it."""
    newest = newest_attempt(world, stage.name)
    steps = tuple(
        Delete(one.kind, one.name, one.uid)
        for one in world.children
        if one.stage == stage.name and not one.is_over and not one.deleting
    )
    if not is_open(stage, newest) or (newest is not None and newest.is_over):
        return stage, steps
    attempts = max(stage.attempts, newest.attempt if newest else 0)
    message = "Told to stop; what was done is saved."
    update = {"state": StageState.STOPPED, "attempts": attempts, "message": message}
    return stage.model_copy(update=update), steps
