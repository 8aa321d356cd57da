"""Memory, disk and time before anything runs: honest orders of magnitude, with their formula.

Memory comes from `uncensor_trainer.memory`, so that plan and trainer say the same. On disk
(facts-training.md, section 2.4) a checkpoint holds weights and Adam's two moments, 12 bytes a
parameter, and the working weights where DeepSpeed keeps them apart; the exported model holds the
weights once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from uncensor_operator.plan.observed import DataFacts, Machine, ModelFacts, Observed
from uncensor_trainer.memory import (
    Load,
    MemoryEstimate,
    adapter_parameters,
    memory_of,
    needs_deepspeed,
)
from uncensor_trainer.runfile import RunFile, TrainingSettings

WEIGHT_BYTES = 4
MOMENT_BYTES = 8
# One multiply-add forward and two backward for each parameter and token.
FLOPS_A_PARAMETER_TOKEN = 6
# What one core of a server CPU, and an A100, reach in training (measured and published figures).
CORE_FLOPS = 2.0e10
GPU_FLOPS = 1.2e14
# English instruction text as JSON; measured on the bundled data.
BYTES_A_TOKEN = 4.6


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run needs, and what there is.

    Attributes:
        memory: peak of the training process (a process a GPU, or the one on the CPU), in parts.
        memory_free_bytes: of the GPU, or the machine's main memory.
        disk_bytes: what the run adds to the workspace at most.
        disk_free_bytes: free space there.
        steps: optimizer steps of one arm; None while the rows are not counted.
        train_seconds: of all arms together; None while the tokens are unknown.
        tokens_per_second: assumed or measured.
        measured: whether the speed comes from an earlier training of this run.
    """

    memory: MemoryEstimate
    memory_free_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    steps: int | None
    train_seconds: float | None
    tokens_per_second: float
    measured: bool

    @property
    def memory_bytes(self) -> int:
        """Peak of the training process."""
        return self.memory.total

    @property
    def memory_fits(self) -> bool:
        """Whether the training fits into what is free."""
        return self.memory_bytes <= self.memory_free_bytes

    @property
    def disk_fits(self) -> bool:
        """Whether the workspace has room."""
        return self.disk_bytes <= self.disk_free_bytes


def estimate(run: RunFile, observed: Observed) -> Estimate | None:
    """Return what the run needs; None while the model's shape is unknown (before fetch)."""
    if observed.model is None:
        return None
    machine, model, training = observed.machine, observed.model, run.training
    speed, measured = _speed(observed.tokens_per_second, model, machine)
    arms = 2 if training.control else 1
    tokens = _tokens(observed.data)
    rows = observed.data.rows if observed.data else None
    longest = min(
        (observed.data and observed.data.longest) or training.max_length, training.max_length
    )
    on_gpu = machine.gpus > 0
    return Estimate(
        memory=_memory(model, run, longest, on_gpu=on_gpu),
        memory_free_bytes=machine.gpu_memory_bytes if on_gpu else machine.memory_bytes,
        disk_bytes=_disk_bytes(model, training, arms),
        disk_free_bytes=machine.disk_bytes,
        steps=math.ceil(rows * training.epochs / run.global_batch_size) if rows else None,
        train_seconds=tokens * training.epochs * arms / speed if tokens else None,
        tokens_per_second=speed,
        measured=measured,
    )


def _memory(model: ModelFacts, run: RunFile, longest: int, *, on_gpu: bool) -> MemoryEstimate:
    training, processes = run.training, run.compute.world_size
    adapters = _trained_parameters(model, training) if training.method == "lora" else 0
    load = Load(
        parameters=model.parameters + adapters,
        trainable=_trained_parameters(model, training),
        hidden=model.hidden_size,
        layers=model.layers,
        vocabulary=model.vocabulary,
        tokens=training.micro_batch_size * longest,
        processes=processes,
        deepspeed=needs_deepspeed(training, processes, gpu=on_gpu),
        gpu=on_gpu,
        # On a GPU the copy for saves behind lies in main memory.
        snapshot=training.checkpoints.asynchronous and not on_gpu,
    )
    return memory_of(load, training)


def _trained_parameters(model: ModelFacts, training: TrainingSettings) -> int:
    if training.method == "full":
        return model.parameters
    return adapter_parameters(model.hidden_size, model.layers, training)


def _disk_bytes(model: ModelFacts, training: TrainingSettings, arms: int) -> int:
    trained = _trained_parameters(model, training)
    checkpoint = trained * (WEIGHT_BYTES + MOMENT_BYTES)
    # One more than is kept: rotation happens after the commit.
    checkpoints = checkpoint * (training.checkpoints.keep_latest + 1)
    export = model.parameters * WEIGHT_BYTES
    base = model.parameters * WEIGHT_BYTES
    return base + arms * (checkpoints + export)


def _speed(measured: float | None, model: ModelFacts, machine: Machine) -> tuple[float, bool]:
    """Return tokens per second and whether they were measured."""
    if measured:
        return measured, True
    flops = machine.gpus * GPU_FLOPS or machine.cores * CORE_FLOPS
    return flops / (FLOPS_A_PARAMETER_TOKEN * model.parameters), False


def _tokens(data: DataFacts | None) -> float | None:
    if data is None:
        return None
    return data.tokens if data.tokens is not None else data.size_bytes / BYTES_A_TOKEN
