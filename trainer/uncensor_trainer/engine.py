"""How the work of one optimizer step is divided, and what DeepSpeed is told about it.

All values are written out: an entry missing from DeepSpeed's configuration means a default of
its own, not the setting of the run. There is no optimizer and no scheduler block, because those
would silently replace ours (and DeepSpeed's own optimizer needs a compiler).
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from typing import Any

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.runfile import RunFile, TrainingSettings

BUCKET_ELEMENTS = 50_000_000  # 100 MB of bf16 a message; larger buckets cost memory on every GPU
FP16_SCALE_POWER = 16  # 2^32, as in the original recipe, skips a dozen steps at the start (B5)


@dataclass(frozen=True, slots=True)
class Split:
    """One global batch, divided: micro-batches x accumulation x processes.

    Attributes:
        micro_batch: rows a process handles at once.
        accumulation: micro-batches of a process before an optimizer step.
        processes: processes that share the global batch.
    """

    micro_batch: int
    accumulation: int
    processes: int

    @property
    def global_batch(self) -> int:
        """Rows of one optimizer step."""
        return self.micro_batch * self.accumulation * self.processes


def split_batch(run: RunFile, processes: int) -> Split:
    """Divide the run's global batch among the processes there are now.

    The rows of an optimizer step never change between attempts; with other processes than
    planned the accumulation changes, and the micro-batch only where it must become smaller.

    Raises:
        InvalidInput: the global batch cannot be divided by this number of processes.
    """
    rows = run.global_batch_size
    if rows % processes:
        possible = [n for n in range(1, min(rows, 1024) + 1) if rows % n == 0]
        raise InvalidInput(
            f"{processes} processes cannot share a global batch of {rows} rows evenly, and the "
            f"batch stays as it is between attempts. Possible numbers of processes: "
            f"{', '.join(map(str, possible))}."
        )
    share = rows // processes
    largest = min(run.training.micro_batch_size, share)
    micro_batch = next(size for size in range(largest, 0, -1) if share % size == 0)
    return Split(micro_batch, share // micro_batch, processes)


def uses_deepspeed(processes: int, *, gpu: bool) -> bool:
    """Tell whether DeepSpeed runs the step; one process without a GPU needs no sharding."""
    return processes > 1 or gpu


def deepspeed_config(training: TrainingSettings, split: Split, *, gpu: bool) -> dict[str, Any]:
    """Return DeepSpeed's whole configuration.

    Raises:
        InvalidInput: offloading is asked for at a ZeRO stage that has nothing to offload.
    """
    return {
        "train_micro_batch_size_per_gpu": split.micro_batch,
        "gradient_accumulation_steps": split.accumulation,
        "train_batch_size": split.global_batch,
        "gradient_clipping": training.max_grad_norm,
        "bf16": {"enabled": training.precision == "bf16"},
        "fp16": {
            "enabled": training.precision == "fp16",
            "initial_scale_power": FP16_SCALE_POWER,
        },
        "zero_optimization": _zero(training, pin_memory=gpu),
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": sys.maxsize,
        "wall_clock_breakdown": False,
    }


def _zero(training: TrainingSettings, *, pin_memory: bool) -> dict[str, Any]:
    stage, offload = training.deepspeed.stage, training.deepspeed.offload
    lowest = {"none": 0, "optimizer": 1, "all": 3}[offload]
    if stage < lowest:
        raise InvalidInput(
            f"deepspeed.offload {offload!r} needs deepspeed.stage {lowest} or higher; found "
            f"{stage}. Raise the stage or set offload to none."
        )
    zero: dict[str, Any] = {
        "stage": stage,
        "contiguous_gradients": True,
        "overlap_comm": True,
        "reduce_bucket_size": BUCKET_ELEMENTS,
        "allgather_bucket_size": BUCKET_ELEMENTS,
    }
    place = {"device": "cpu", "pin_memory": pin_memory}
    if offload in ("optimizer", "all"):
        zero["offload_optimizer"] = place
    if offload == "all":
        zero["offload_param"] = place
    if stage == 3:  # noqa: PLR2004 - ZeRO's own name for sharded weights
        zero |= {
            "stage3_prefetch_bucket_size": BUCKET_ELEMENTS,
            "stage3_param_persistence_threshold": 100_000,
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    return zero


def prepare_deepspeed(*, gpu: bool) -> None:
    """Set up the process before anything initialises DeepSpeed."""
    if not gpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        _use_plain_gloo()
    for name, value in _single_process().items():
        os.environ.setdefault(name, value)


def _use_plain_gloo() -> None:
    """Without this DeepSpeed compiles a shared-memory operation, which needs a C++ compiler."""
    import deepspeed  # noqa: PLC0415 - takes seconds; one process without a GPU never needs it

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def _single_process() -> dict[str, str]:
    """Return what torchrun would have set; without it DeepSpeed searches for MPI."""
    if "MASTER_PORT" in os.environ:
        return {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
