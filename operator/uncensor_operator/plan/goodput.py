"""Where the time of the trainings went: steps that count, waiting, repeating."""

from __future__ import annotations

from datetime import datetime

from uncensor_operator.api.status import Goodput, Status
from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.plan.absorbing import decimal
from uncensor_operator.plan.world import Child, World


def with_attempt(
    status: Status, stage: Stage, child: Child, world: World, saved: int | None
) -> Status:
    """Return the status with the time of a training's attempt that has just ended.

    Of an attempt that failed, the share of its steps that a checkpoint keeps is productive; the
    rest will be done again.
    """
    begun, ended = _times(child, world.now)
    queued = (begun - child.created).total_seconds()
    ran = (ended - begun).total_seconds()
    kept = 1.0 if child.succeeded else _kept(stage, child, world, saved)
    before = status.goodput or Goodput()
    productive = before.productive_seconds + round(ran * kept)
    waited = before.queued_seconds + round(queued)
    repeated = before.restart_seconds + round(ran * (1 - kept))
    whole = productive + waited + repeated + before.checkpoint_seconds
    goodput = Goodput(
        productive_seconds=productive,
        queued_seconds=waited,
        restart_seconds=repeated,
        checkpoint_seconds=before.checkpoint_seconds,
        fraction=decimal(productive / whole) if whole else None,
    )
    return status.model_copy(update={"goodput": goodput})


def _times(child: Child, now: datetime) -> tuple[datetime, datetime]:
    """When the attempt began to run and when it ended; one that never ran only waited."""
    speaker = child.speaker
    end = speaker.exit if speaker else None
    ended = (end and end.finished_at) or child.ended_at or now
    begun = (end and end.started_at) or (speaker and speaker.running_since) or ended
    begun = max(child.created, begun)
    return begun, max(begun, ended)


def _kept(stage: Stage, child: Child, world: World, saved: int | None) -> float:
    progress = world.progress.get(child.name)
    first = stage.start_step or 0
    done = (progress.step or 0) - first if progress else 0
    if saved is None or done <= 0:
        return 0.0
    return min(1.0, max(0.0, (saved - first) / done))
