"""Memory of one training process, part by part: pure arithmetic that the operator shares.

The plan shows it before anything runs, the trainer before its first step. Where the numbers come
from: bytes a parameter from facts of AdamW and ZeRO (weights, gradients, a float32 copy and two
moments); bytes a token from the tensors that a Llama layer keeps for its backward pass, counted in
its code.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from uncensor_trainer.runfile import TrainingSettings

GIB = 2**30
MIB = 2**20
FULL = 4  # bytes of a float32
MOMENTS = 2 * FULL  # AdamW keeps a mean and a variance of every gradient
# Python, torch and transformers, with their code, before the first tensor.
PROCESS = 700 * MIB
# Hidden vectors that a layer keeps for its backward pass: inputs of its two norms, queries, keys,
# values, attention's output, and four of the wider feed-forward vectors.
KEPT_VECTORS = 34
# The output layer works on so many logits at once (64 MiB as float32; smaller chunks waste time on
# the gradient of its weights), and holds them three times: as they are, as probabilities, and as a
# gradient in the type of the weights.
LOGITS_AT_ONCE = 2**24
# A GPU needs larger products to be busy (512 MiB as float32, ADR 25).
LOGITS_AT_ONCE_ON_GPU = 2**27
LOGIT_COPIES = 3
# DeepSpeed gathers and reduces in buckets of this many numbers, two of each kind in flight.
BUCKET = 50_000_000
BUCKETS = 4


@dataclass(frozen=True, slots=True)
class Load:
    """What decides the memory of one process.

    Attributes:
        parameters: of the model.
        trainable: of these, those that are trained; an adapter's come on top.
        hidden: width of the model.
        layers: depth of the model.
        vocabulary: rows of the output layer.
        tokens: of the fullest pass through the model, padding included.
        processes: that share the work.
        deepspeed: whether DeepSpeed runs the steps; without it, plain torch does, alone.
        snapshot: whether saves copy the state to main memory and write it in the background.
        gpu: whether it runs on a GPU.
    """

    parameters: int
    trainable: int
    hidden: int
    layers: int
    vocabulary: int
    tokens: int
    processes: int
    deepspeed: bool
    snapshot: bool = False
    gpu: bool = False


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of one process at its peak, by what they are for."""

    process: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    buffers: int

    @property
    def total(self) -> int:
        """All of them together."""
        return sum(self.parts.values())

    @property
    def parts(self) -> dict[str, int]:
        """Name and bytes of each part."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def sentence(self) -> str:
        """The estimate for people."""
        parts = ", ".join(f"{name} {shown(size)}" for name, size in self.parts.items() if size)
        return f"about {shown(self.total)} of memory a process ({parts})"


def needs_deepspeed(training: TrainingSettings, processes: int, *, gpu: bool) -> bool:
    """Tell whether DeepSpeed runs the steps: it shares state, offloads it, and scales for fp16.

    A process alone has nothing to share; plain torch then computes the same without hooks and
    buckets, and each goes on with the other's checkpoints (ADR 25). With adapters the frozen
    weights are most of the memory, and DeepSpeed keeps them in 2 bytes instead of 4.
    """
    offloads = training.deepspeed.offload != "none"
    narrow = training.precision == "fp16" or training.method == "lora"
    return processes > 1 or (gpu and (offloads or narrow))


def memory_of(load: Load, training: TrainingSettings) -> MemoryEstimate:
    """Return the estimate for a training."""
    sizes = _state_bytes(load, training)
    computed = FULL if training.precision == "fp32" else 2
    kept = 1 if training.gradient_checkpointing else KEPT_VECTORS
    # With checkpointing one layer at a time is computed again, and kept whole for a moment.
    again = KEPT_VECTORS if training.gradient_checkpointing else 0
    vector = load.tokens * load.hidden * computed
    return MemoryEstimate(
        process=PROCESS,
        **sizes,
        activations=vector * (kept * load.layers + again),
        logits=_logit_bytes(load, training),
        buffers=_buffer_bytes(load, training, computed),
    )


def _state_bytes(load: Load, training: TrainingSettings) -> dict[str, int]:
    """Return weights, gradients and optimizer; ZeRO divides them from stages 3, 2 and 1 on."""
    # Plain torch keeps float32 weights whatever it computes in; DeepSpeed keeps a copy of its own.
    width = 2 if load.deepspeed and training.precision != "fp32" else FULL
    master = FULL if load.deepspeed else 0
    stage = training.deepspeed.stage if load.deepspeed else 0
    offload = training.deepspeed.offload if load.deepspeed else "none"
    share = {lowest: load.processes if stage >= lowest else 1 for lowest in (1, 2, 3)}
    # Plain torch computes on a GPU with copies of the weights, made anew for each pass.
    copies = 2 if load.gpu and not load.deepspeed and training.precision != "fp32" else 0
    return {
        "weights": 0 if offload == "all" else load.parameters * (width + copies) // share[3],
        "gradients": load.trainable * width // share[2],
        "optimizer": 0 if offload != "none" else load.trainable * (master + MOMENTS) // share[1],
    }


def _logit_bytes(load: Load, training: TrainingSettings) -> int:
    most = logits_at_once(gpu=load.gpu)
    at_once = min(load.tokens * load.vocabulary, most) * FULL * LOGIT_COPIES
    gradient = load.vocabulary * load.hidden * FULL if training.method == "full" else 0
    return at_once + gradient


def logits_at_once(*, gpu: bool) -> int:
    """Return how many logits the output layer works on at a time."""
    return LOGITS_AT_ONCE_ON_GPU if gpu else LOGITS_AT_ONCE


def _buffer_bytes(load: Load, training: TrainingSettings, computed: int) -> int:
    """Return what communication and a checkpoint in the making hold."""
    state = FULL + MOMENTS
    snapshot = load.trainable * state // load.processes if load.snapshot else 0
    buckets = BUCKETS * min(BUCKET, load.parameters) * computed if load.processes > 1 else 0
    return snapshot + buckets


def adapter_parameters(hidden: int, layers: int, training: TrainingSettings) -> int:
    """Return the parameters of LoRA: two thin matrices beside a block's seven linear layers."""
    return layers * 7 * 2 * hidden * training.lora.rank


def shown(count: float) -> str:
    """Return a number of bytes for people."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.0f} MiB"
