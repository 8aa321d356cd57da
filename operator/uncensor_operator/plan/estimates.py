"""Memory, disk and time before anything runs: honest orders of magnitude, with their formula.

Bytes a parameter (facts-training.md, section 2.4): fp32 weights 4, gradients 4, Adam's two
moments 8; a checkpoint holds weights and moments; the exported model holds the weights once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from uncensor_operator.plan.observed import DataFacts, Machine, ModelFacts, Observed
from uncensor_trainer.runfile import RunFile, TrainingSettings

WEIGHT_BYTES = 4
GRADIENT_BYTES = 4
MOMENT_BYTES = 8
# Python, torch and transformers before the first tensor.
PROCESS_BYTES = 700 * 2**20
# Residual stream, attention and feed-forward inputs that a layer keeps for its backward pass,
# in units of one hidden vector; recomputed from the first one with gradient checkpointing.
KEPT_VECTORS_A_LAYER = 34
KEPT_VECTORS_RECOMPUTED = 2
# Logits, their float32 copy and the gradient.
LOGIT_COPIES = 3
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
        memory_bytes: peak of the training process (a process a GPU, or the one on the CPU).
        memory_free_bytes: of the GPU, or the machine's main memory.
        disk_bytes: what the run adds to the workspace at most.
        disk_free_bytes: free space there.
        steps: optimizer steps of one arm; None while the rows are not counted.
        train_seconds: of all arms together; None while the tokens are unknown.
        tokens_per_second: assumed or measured.
        measured: whether the speed comes from an earlier training of this run.
    """

    memory_bytes: int
    memory_free_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    steps: int | None
    train_seconds: float | None
    tokens_per_second: float
    measured: bool

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
        memory_bytes=_training_bytes(
            model, training, longest, run.compute.world_size, on_gpu=on_gpu
        ),
        memory_free_bytes=machine.gpu_memory_bytes if on_gpu else machine.memory_bytes,
        disk_bytes=_disk_bytes(model, training, arms),
        disk_free_bytes=machine.disk_bytes,
        steps=math.ceil(rows * training.epochs / run.global_batch_size) if rows else None,
        train_seconds=tokens * training.epochs * arms / speed if tokens else None,
        tokens_per_second=speed,
        measured=measured,
    )


def _training_bytes(
    model: ModelFacts, training: TrainingSettings, longest: int, world: int, *, on_gpu: bool
) -> int:
    trained = _trained_parameters(model, training)
    # ZeRO divides the optimizer's state from stage 1, gradients from 2, weights from 3.
    sharded = world if on_gpu or world > 1 else 1
    stage = training.deepspeed.stage
    weights = model.parameters * WEIGHT_BYTES // (sharded if stage == 3 else 1)  # noqa: PLR2004
    gradients = trained * GRADIENT_BYTES // (sharded if stage >= 2 else 1)  # noqa: PLR2004
    moments = trained * MOMENT_BYTES // (sharded if stage >= 1 else 1)
    tokens = training.micro_batch_size * longest
    recomputed = training.gradient_checkpointing
    vectors = KEPT_VECTORS_RECOMPUTED if recomputed else KEPT_VECTORS_A_LAYER
    width = 4 if training.precision == "fp32" else 2
    kept = tokens * model.hidden_size * model.layers * vectors * width
    logits = tokens * model.vocabulary * 4 * LOGIT_COPIES
    return PROCESS_BYTES + weights + gradients + moments + kept + logits


def _trained_parameters(model: ModelFacts, training: TrainingSettings) -> int:
    if training.method == "full":
        return model.parameters
    # Two thin matrices beside each of a block's seven linear layers.
    return model.layers * 7 * 2 * model.hidden_size * training.lora.rank


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
