"""What the log of a working attempt tells the status: progress, training, checkpoints."""

from __future__ import annotations

from uncensor_operator.api.status import LastCheckpoint, Progress, Status, TrainingStatus
from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.names import StageName
from uncensor_operator.plan.absorbing import decimal
from uncensor_operator.plan.attempts import saved_step
from uncensor_operator.plan.course import Course
from uncensor_operator.plan.times import time_text
from uncensor_operator.plan.world import Child, LiveProgress


def with_checkpoint(course: Course, stage: Stage, newest: Child, status: Status) -> Status:
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


def progress_of(found: LiveProgress | None) -> Progress | None:
    """Return progress as the status shows it."""
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
