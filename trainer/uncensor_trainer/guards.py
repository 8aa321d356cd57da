"""What is checked before the first step and after every one: disk, finite numbers."""

from __future__ import annotations

import math
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from uncensor_trainer.exits import NumericFailure, WorkspaceFailure
from uncensor_trainer.runfile import TrainingSettings

GIB = 1024**3
MIB = 1024**2
SMALL_FILES = MIB  # what lies in a checkpoint beside the state
CGROUP = Path("/sys/fs/cgroup")
FULL_PRECISION = 4  # bytes of a float32
OPTIMIZER_MOMENTS = 2  # AdamW keeps a mean and a variance of every gradient, both float32
# fp16 skips a step whose scaled gradients overflow and halves the scale; so often in a row the
# scale cannot be the reason any more.
FP16_SKIPS_IN_A_ROW = 24


@dataclass(frozen=True, slots=True)
class Footprint:
    """What decides how much memory and disk a training takes.

    Attributes:
        parameters: parameters of the model.
        trainable: those that are trained (all, or the adapter's).
        processes: processes that share the work.
        deepspeed: whether DeepSpeed keeps a float32 master copy beside the working weights.
        micro_batch: rows a process handles at once.
        longest: tokens of the longest row.
        vocabulary: rows of the output matrix.
        hidden: width of the model.
        layers: depth of the model.
    """

    parameters: int
    trainable: int
    processes: int
    deepspeed: bool
    micro_batch: int
    longest: int
    vocabulary: int
    hidden: int
    layers: int


def checkpoint_bytes(shape: Footprint) -> int:
    """Return the bytes of one checkpoint on disk: float32 weights and moments, of all processes."""
    return shape.trainable * FULL_PRECISION * (1 + OPTIMIZER_MOMENTS)


def model_bytes(shape: Footprint, training: TrainingSettings) -> int:
    """Return the bytes of the finished model on disk, an adapter included."""
    adapter = FULL_PRECISION * shape.trainable if training.method == "lora" else 0
    return shape.parameters * weight_bytes(shape, training) + adapter


def weight_bytes(shape: Footprint, training: TrainingSettings) -> int:
    """Return the bytes of one weight; without DeepSpeed it stays float32, autocast or not."""
    return 2 if shape.deepspeed and training.precision != "fp32" else FULL_PRECISION


def refuse_full_disk(
    folder: Path, shape: Footprint, training: TrainingSettings, existing: int
) -> str:
    """Check that all checkpoints that lie there at once and the model fit; return the numbers.

    One more checkpoint than `keep_latest` is needed, because the oldest goes after the newest is
    complete. `existing` bytes of earlier checkpoints count as there already.

    Raises:
        WorkspaceFailure: there is too little space; nothing was written yet.
    """
    count = training.checkpoints.keep_latest + 1
    each, model = checkpoint_bytes(shape), model_bytes(shape, training)
    need = max(0, count * each - existing) + model
    free = shutil.disk_usage(folder).free
    numbers = (
        f"{_shown(need)} on disk ({count} checkpoints of {_shown(each)}, the model "
        f"{_shown(model)}, {_shown(existing)} there already); {_shown(free)} free"
    )
    if need > free:
        raise WorkspaceFailure(
            f"Training needs {numbers} at {folder}. Free some space, lower "
            "training.checkpoints.keepLatest, or choose a larger workspace. Nothing was trained "
            "and nothing is lost."
        )
    return numbers


def refuse_full_disk_now(folder: Path, size: int) -> None:
    """Check that one more checkpoint of `size` bytes fits beside those that lie there.

    Before every save, because other runs share the workspace and fill it while we train.

    Raises:
        WorkspaceFailure: it does not fit; nothing was written, the last checkpoint is whole.
    """
    free = shutil.disk_usage(folder).free
    if size + SMALL_FILES > free:
        raise WorkspaceFailure(
            f"A checkpoint of {_shown(size)} does not fit: {_shown(free)} are free at {folder}. "
            "The oldest one goes only when a newer one is complete. Free some space or lower "
            "training.checkpoints.keepLatest; the same command goes on from the last checkpoint."
        )


def free_memory() -> int:
    """Return the bytes of main memory that this process may still take.

    In a container the limit of its control group (version 2) counts, not the machine's memory.
    """
    free = psutil.virtual_memory().available
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        detail = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such limit ("max"), or no such files
        return free
    # Pages of files that nobody maps are given back when they are needed.
    return max(0, min(free, limit - used + int(detail.get("inactive_file", 0))))


class FiniteGuard:
    """Ends a training whose numbers are not numbers any more, and names the rows."""

    def __init__(self, *, fp16: bool) -> None:
        self._allowed = FP16_SKIPS_IN_A_ROW if fp16 else 0
        self._skipped = 0

    def is_broken(self, loss: float, grad_norm: float) -> bool:
        """Tell whether the step shows a failure; counts steps that fp16 may skip."""
        if not math.isfinite(loss):
            return True
        self._skipped = 0 if math.isfinite(grad_norm) else self._skipped + 1
        return self._skipped > self._allowed


def numeric_failure(
    step: int,
    loss: float,
    grad_norm: float,
    rows: Iterable[tuple[str, int]],
    roll_backs: Sequence[tuple[int, int]] = (),
) -> NumericFailure:
    """Return the error for a step from which training is broken, with the rows of its batch."""
    by_dataset: dict[str, list[int]] = defaultdict(list)
    for dataset, index in rows:
        by_dataset[dataset].append(index)
    named = "; ".join(
        f"{dataset} {', '.join(map(str, sorted(indices)))}"
        for dataset, indices in by_dataset.items()
    )
    tried = ", ".join(f"from step {last} to {to}" for to, last in roll_backs)
    history = f"Going back did not help ({tried}). " if tried else ""
    return NumericFailure(
        f"At step {step} training broke: the loss is {loss} and the gradient norm {grad_norm}. "
        f"Both must be finite, and the loss near those before. {history}"
        f"The rows of that batch: {named}. Look at these rows, lower training.learningRate, or "
        "use precision bf16 or fp32. The last checkpoint is from before."
    )


def _shown(count: float) -> str:
    """Return a number of bytes for people."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.0f} MiB"
