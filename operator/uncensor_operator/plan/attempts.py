"""One attempt under observation: does it wait, work, hang, is it broken, how did it end.

Pure questions about a child and its pods; `stages` draws the consequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from uncensor_operator.names import Reason
from uncensor_operator.plan.placement import Obstacle
from uncensor_operator.plan.pods import Exit, Pod
from uncensor_operator.plan.world import JOB, Child, WarningEvent, World
from uncensor_trainer.exits import ExitCode

# Waiting reasons that never end by themselves, so that people must know at once.
_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff"}
)
# Registries and volumes have hiccups; before this many seconds nobody is alarmed.
PATIENCE = 12.0
# Longer than a watch is ever behind another, and short beside any attempt.
LAST_WORDS_SECONDS = 5.0
# After the deletion's own deadline, a kubelet that works needs no longer than this.
OVERTIME = 30.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why an attempt does not run yet; no fault of anybody."""

    message: str


def waiting_of(child: Child) -> Waiting | None:
    """Return what an attempt waits for; None when its speaker runs or has run."""
    if child.suspended:
        return Waiting(f"{child.kind} {child.name} is held back by its queue.")
    speaker = child.speaker
    if speaker is not None and (speaker.running_since or speaker.exit or speaker.is_over):
        return None
    for pod in child.pods:
        if pod.unschedulable:
            return Waiting(f"No node for pod {pod.name} yet: {pod.unschedulable}")
    return Waiting(f"The pods of {child.name} are starting.")


def obstacle_of(child: Child, world: World) -> Obstacle | None:
    """Return what keeps the pods of an attempt from starting, once patience has run out."""
    for pod in child.pods:
        found = _pod_obstacle(pod, world)
        if found is not None and _age(pod.scheduled_at or pod.created, world.now) >= PATIENCE:
            return found
    if not child.pods and _age(child.created, world.now) >= PATIENCE:
        return _no_pods(child, world.warnings)
    return None


def cannot_start(child: Child, world: World, deadline_seconds: int) -> str:
    """Return why an attempt has missed its start deadline; empty while it has not.

    The clock of a pod starts when it gets a node: waiting for nodes may take days.
    """
    for pod in child.pods:
        begun = pod.scheduled_at
        if begun is None or pod.running_since or pod.exit or pod.gone_by or pod.is_over:
            continue
        if _age(begun, world.now) > deadline_seconds:
            found = _pod_obstacle(pod, world)
            return found.message if found else f"pod {pod.name} is still being created"
    return ""


def disruption_of(child: Child, world: World) -> str:
    """Return how the cluster has broken an attempt beyond a saved end; empty when it has not."""
    for pod in child.pods:
        if pod.is_over:
            continue
        if pod.node in world.absent_nodes and (pod.disruption or pod.gone_by):
            return f"node {pod.node} of pod {pod.name} is lost"
        if pod.gone_by and _age(pod.gone_by, world.now) > OVERTIME:
            return f"pod {pod.name} does not end"
    return ""


def silent_seconds(child: Child, world: World) -> int:
    """Return the seconds without a step of a training whose pods all run; 0 when they do not."""
    speaker = child.speaker
    if speaker is None or speaker.running_since is None or speaker.gone_by or speaker.is_over:
        return 0
    if any(pod.running_since is None and not pod.is_over for pod in child.pods):
        return 0  # the others wait for one that has no node yet
    progress = world.progress.get(child.name)
    seen = progress.seen_at if progress and progress.pod == speaker.uid else None
    return int(_age(max(speaker.running_since, seen or speaker.running_since), world.now))


def decisive_exit(child: Child) -> Exit | None:
    """Return the end that tells why an attempt failed.

    When one rank dies, the others fail because of it, and usually with a more dramatic message.
    So ends are asked in this order: killed for memory, killed by a signal, told by the trainer,
    told to stop, anything else; among equals the first.
    """
    ends = [pod.exit for pod in child.pods if pod.exit is not None and pod.exit.code != 0]
    return min(ends, key=_rank, default=None)


def last_words_are_due(child: Child, now: datetime) -> bool:
    """Tell whether pods of an ended child may still say why.

    Pods and their controllers are watched apart, and a controller's end may be seen first.
    """
    if child.ended_at is None or _age(child.ended_at, now) > LAST_WORDS_SECONDS:
        return False
    if child.succeeded:
        return child.speaker is not None and child.speaker.exit is None
    return not all(pod.is_over for pod in child.pods)


def taken_away(child: Child) -> str:
    """Return why a pod of a failed attempt was taken away; empty when none was.

    A controller deletes the other pods after the first has failed, so a deletion counts as the
    cause only if it was asked for before anything failed.
    """
    if child.kind == JOB and not child.pods:
        # Failed pods stay; one that is gone was evicted, drained, or deleted by somebody.
        return f"the pod of {child.name} is gone"
    for pod in child.pods:
        if pod.disruption:
            return pod.disruption
    ends = [pod.exit.finished_at for pod in child.pods if pod.exit and pod.exit.code != 0]
    first = min((end for end in ends if end is not None), default=None)
    for pod in child.pods:
        if pod.deleting_since and first and pod.deleting_since < first:
            return f"pod {pod.name} was deleted"
    return ""


def saved_step(child: Child, world: World) -> int | None:
    """Return the newest checkpoint that an attempt has told of, in its log or its last word."""
    known = world.progress.get(child.name)
    told = [known.checkpoint if known else None]
    for pod in child.pods:
        step = pod.exit.outcome.get("checkpointStep") if pod.exit else None
        told.append(step if isinstance(step, int) and step >= 0 else None)
    return max((step for step in told if step is not None), default=None)


def _rank(end: Exit) -> tuple[int, float]:
    told = end.told_code
    # A peer's death shows as our own bug: the connection broke.
    order = (
        end.reason == "OOMKilled",
        end.outcome.get("reason") == Reason.OUT_OF_MEMORY,
        told in (ExitCode.INVALID_INPUT, ExitCode.NUMERIC_FAILURE, ExitCode.WORKSPACE_FAILURE),
        told == ExitCode.STOPPED_AND_SAVED,
        told > 128,  # noqa: PLR2004 - a signal
        True,
    )
    when = end.finished_at.timestamp() if end.finished_at else float("inf")
    return order.index(True), when


def _pod_obstacle(pod: Pod, world: World) -> Obstacle | None:
    if pod.running_since or pod.exit or pod.gone_by:
        return None
    said = f"{pod.waiting_message or pod.waiting_reason}".strip()
    if pod.waiting_reason in _IMAGE:
        return Obstacle(
            Reason.START_FAILED,
            f"Pod {pod.name} cannot get its image: {said}. Correct the image in the operator's "
            "settings, or give the nodes access to the registry; the run goes on by itself then.",
        )
    if pod.waiting_reason in _CONFIG:
        return Obstacle(Reason.START_FAILED, f"Pod {pod.name} cannot start: {said}.")
    return _mount_obstacle(pod, world.warnings)


def _mount_obstacle(pod: Pod, warnings: tuple[WarningEvent, ...]) -> Obstacle | None:
    """A Secret or volume that is not there shows in events only."""
    about = f"Pod/{pod.name}"
    said = [w.message for w in warnings if w.about == about and w.reason == "FailedMount"]
    if not said:
        return None
    text = said[-1].rstrip(".")
    if "secret" in text.lower():
        return Obstacle(
            Reason.SECRET_MISSING,
            f"Pod {pod.name} waits for a Secret: {text}. Create it in this namespace; the run goes "
            "on by itself then.",
        )
    return Obstacle(Reason.WORKSPACE_FAILURE, f"Pod {pod.name} cannot mount a volume: {text}.")


def _no_pods(child: Child, warnings: tuple[WarningEvent, ...]) -> Obstacle | None:
    about = f"{child.kind}/{child.name}"
    said = [w.message for w in warnings if w.about == about and "Failed" in w.reason]
    return refused(said[-1]) if said else None


def refused(text: str) -> Obstacle:
    """Return what a refusal of the API server means, in words for people."""
    text = text.strip().rstrip(".")
    if "exceeded quota" in text or "quota" in text.lower():
        return Obstacle(
            Reason.QUOTA_EXCEEDED,
            f"The namespace's quota refuses it: {text}. Ask for more quota, or lower "
            "compute.nodes, compute.gpusPerNode or workspace.size; the run goes on by itself once "
            "it fits.",
        )
    if "PodSecurity" in text:
        return Obstacle(
            Reason.REFUSED,
            f"The namespace's Pod Security refuses a pod: {text}. If it names the container "
            "init-pytorch, give the training-operator a restricted init container "
            "(`uncensor doctor` shows how).",
        )
    return Obstacle(Reason.REFUSED, f"The API server refuses it: {text}.")


def _age(moment: datetime, now: datetime) -> float:
    return (now - moment).total_seconds()
