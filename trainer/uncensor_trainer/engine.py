"""Who runs an optimizer step, how its rows are divided, and what DeepSpeed is told about it.

All values are written out: an entry missing from DeepSpeed's configuration means a default of
its own, not the setting of the run. There is no optimizer and no scheduler block, because those
would silently replace ours (and DeepSpeed's own optimizer needs a compiler).
"""

from __future__ import annotations

import os
import socket
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.heap import map_large_blocks
from uncensor_trainer.memory import needs_deepspeed
from uncensor_trainer.runfile import RunFile, TrainingSettings

BUCKET_ELEMENTS = 50_000_000  # 100 MB of bf16 a message; larger buckets cost memory on every GPU
_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
RECORDED_CALLS = 2000  # collective operations that NCCL's flight recorder remembers
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


@dataclass(frozen=True, slots=True)
class Engine:
    """Who runs the steps.

    Attributes:
        kind: a phrase for people; state can be read back by an engine of the same kind.
        split: how a global batch is divided.
        gpu: whether there is a GPU.
        computes: number format of the computation; float32 on a CPU without bf16 instructions.
        deepspeed: DeepSpeed's configuration, or None when plain torch runs the steps.
        weight_type: type of the weights in memory and in the exported model. Plain torch keeps
            float32 whatever the precision (autocast computes in bf16), so that nothing of an
            update is lost; DeepSpeed keeps a float32 copy of its own beside the weights.
    """

    kind: str
    split: Split
    gpu: bool
    computes: str
    deepspeed: dict[str, Any] | None
    weight_type: torch.dtype

    @property
    def compute_type(self) -> torch.dtype:
        """Number format of the computation, as torch names it."""
        return _PRECISIONS[self.computes]


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


def choose_engine(training: TrainingSettings, split: Split, *, gpu: bool) -> Engine:
    """Return who runs the steps; one process alone needs no sharding.

    Raises:
        InvalidInput: fp16 without a GPU.
    """
    if training.precision == "fp16" and not gpu:
        raise InvalidInput(
            "training.precision fp16 needs a GPU, and there is none. Use bf16 or fp32."
        )
    deepspeed = needs_deepspeed(training, split.processes, gpu=gpu)
    computes = training.precision if gpu else _quickest(training.precision)
    kind = f"{split.processes} processes with ZeRO stage {training.deepspeed.stage}"
    return Engine(
        kind=kind if deepspeed else "one process without DeepSpeed",
        split=split,
        gpu=gpu,
        computes=computes,
        deepspeed=deepspeed_config(training, split, gpu=gpu, precision=computes)
        if deepspeed
        else None,
        weight_type=_PRECISIONS[computes] if deepspeed else torch.float32,
    )


def _quickest(precision: str) -> str:
    """Return float32 instead of bf16 where a CPU would only imitate bf16.

    Without its instructions a matrix product took 6 times as long in bf16 (ADR 22), and a number
    in float32 holds all that one in bf16 does.
    """
    imitated = precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "fp32" if imitated else precision


def deepspeed_config(
    training: TrainingSettings, split: Split, *, gpu: bool, precision: str | None = None
) -> dict[str, Any]:
    """Return DeepSpeed's whole configuration; `precision` is what is computed in, if not as asked.

    Raises:
        InvalidInput: offloading is asked for at a ZeRO stage that has nothing to offload.
    """
    return {
        "train_micro_batch_size_per_gpu": split.micro_batch,
        "gradient_accumulation_steps": split.accumulation,
        "train_batch_size": split.global_batch,
        "gradient_clipping": training.max_grad_norm,
        "bf16": {"enabled": (precision or training.precision) == "bf16"},
        "fp16": {
            "enabled": (precision or training.precision) == "fp16",
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


def prepare_process(engine: Engine, stacks: Path) -> None:
    """Set up this process before anything initialises the engine; stdout stays quiet.

    `stacks` is the folder for what helps to explain a hang.
    """
    logging.disable_progress_bar()
    # Libraries call each other by names that are about to go; people cannot do anything about it.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch|transformers|peft")
    if not engine.gpu:
        # Vanishing gradients become denormal numbers, which a CPU handles ten times slower.
        torch.set_flush_denormal(True)
        map_large_blocks()
    else:
        stacks.mkdir(parents=True, exist_ok=True)
        for name, value in flight_recorder(stacks).items():
            os.environ.setdefault(name, value)
    if engine.deepspeed is not None:
        _prepare_deepspeed(gpu=engine.gpu)
    else:
        # torchrun starts a lone process like one of many; it would get a wrapper that averages
        # gradients with nobody.
        os.environ.pop("LOCAL_RANK", None)


def flight_recorder(stacks: Path) -> dict[str, str]:
    """Return what makes NCCL remember its last operations and write them down on a timeout.

    The two spellings belong to older and newer versions of torch; each ends in the rank.
    """
    calls, prefix = str(RECORDED_CALLS), str(stacks / "nccl-rank")
    return {
        "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
        "TORCH_NCCL_DUMP_ON_TIMEOUT": "1",
        "TORCH_NCCL_TRACE_BUFFER_SIZE": calls,
        "TORCH_FR_BUFFER_SIZE": calls,
        "TORCH_NCCL_DEBUG_INFO_TEMP_FILE": prefix,
        "TORCH_FR_DUMP_TEMP_FILE": prefix,
    }


def _prepare_deepspeed(*, gpu: bool) -> None:
    for name, value in _single_process().items():
        os.environ.setdefault(name, value)
    if gpu:
        return
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed  # noqa: PLC0415 - takes seconds; one process without a GPU never needs it

    # Otherwise DeepSpeed compiles a shared-memory operation, which needs a C++ compiler.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    # With ZeRO-3 weights are sharded while they are loaded, before the Trainer would do this.
    deepspeed.init_distributed(dist_backend="gloo", verbose=False)


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
