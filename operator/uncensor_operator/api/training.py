"""What happens to the rows, and how the model learns from them: filter, training, alignment."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from uncensor_operator.api.base import ApiModel, ListMap, Rule
from uncensor_operator.api.kinds import (
    DECIMAL,
    EntryName,
    ModuleNames,
    Re2Pattern,
    Share,
    between,
)
from uncensor_operator.api.sources import DataSource

RefusalClass = Literal[
    "refusal", "partial", "moralise", "capability", "disclaimer", "placeholder", "identity"
]
Action = Literal["drop", "cut", "drop-turn", "strip", "keep"]

Epochs = Annotated[str, DECIMAL, between(0, 1000, above=True)]
LearningRate = Annotated[str, DECIMAL, between(0, 1, above=True)]


# The only ZeRO stage that spreads the weights themselves.
_SHARDS_WEIGHTS = 3


class FilterActions(ApiModel):
    """What happens to a row, by the class of its answer.

    `drop` the row, `cut` the conversation before the question, `drop-turn` (the question with its
    answer), `strip` the remark, or `keep`. A row that would be left without an answer is dropped.
    """

    refusal: Action = "drop"
    """The answer declines and gives nothing of what was asked."""
    partial: Action = "keep"
    """The answer declines or lectures, and gives some of what was asked all the same."""
    moralise: Action = "drop"
    """The answer is a lecture instead of what was asked."""
    capability: Action = "keep"
    """The answer says that the model cannot, rather than will not: no browsing, input missing."""
    disclaimer: Action = "strip"
    """A remark about being a model stands before or after a full answer."""
    placeholder: Action = "drop"
    """There is no answer: it is empty, or a mark that something was removed."""
    identity: Action = "keep"
    """The answer is about the assistant itself, because it was asked."""


class ExtraRule(ApiModel):
    """A pattern of your own; an answer that matches belongs to the class."""

    name: EntryName
    """Name in the report and in the decisions of the filter."""
    refusal_class: Annotated[RefusalClass, Field(alias="class")]
    """Class whose action applies."""
    pattern: Re2Pattern
    """Regular expression in RE2 syntax, matched anywhere in an answer, whatever the case."""


class Filter(ApiModel):
    """Which rows the model does not get to see."""

    mode: Literal["enforce", "audit", "off"] = "enforce"
    """`enforce` acts; `audit` marks and keeps every row; `off` does not look. Put quotes around
    "off" in YAML: kubectl reads the bare word as a boolean."""
    actions: FilterActions = FilterActions()
    """What happens to a row, by the class of its answer."""
    extra_rules: Annotated[tuple[ExtraRule, ...], Field(max_length=64), ListMap("name")] = ()
    """Patterns of your own, beside those that come with the trainer."""
    max_drop_fraction: Share = "0.6"
    """Share of the rows, 0 to 1: when more would be dropped, the run stops with the report."""


class Lora(ApiModel):
    """Low-rank adapters: small matrices learn, the model itself stays as it is."""

    rank: int = Field(default=16, ge=1, le=1024)
    """Rank of the adapter matrices; more means more memory and more to learn with."""
    alpha: int = Field(default=32, ge=1, le=8192)
    """Scale of the adapters; what they add is multiplied by alpha / rank."""
    target_modules: ModuleNames = "all-linear"
    """Modules that get adapters: `all-linear`, or names separated by commas."""


class DeepSpeed(ApiModel):
    """How the training state is spread over the processes."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.offload != 'all' || self.stage == 3",
            'wanted 3 with offload "all": only stage 3 shards the weights that it offloads',
            lambda deepspeed: deepspeed.offload != "all" or deepspeed.stage == _SHARDS_WEIGHTS,
            at="stage",
        ),
        Rule(
            "self.offload != 'optimizer' || self.stage >= 1",
            'wanted 1, 2 or 3 with offload "optimizer": stage 0 leaves the optimizer whole',
            lambda deepspeed: deepspeed.offload != "optimizer" or deepspeed.stage >= 1,
            at="stage",
        ),
    )

    stage: Annotated[int, Field(ge=0, le=3)] = 3
    """ZeRO stage: 0 shards nothing, 1 optimizer state, 2 gradients too, 3 weights too."""
    offload: Literal["none", "optimizer", "all"] = "none"
    """What moves from GPU memory to main memory: nothing, the optimizer, or weights as well."""


class Checkpoints(ApiModel):
    """When the training state is saved; the last step is always saved."""

    every_steps: int = Field(default=800, ge=1, le=10_000_000)
    """Optimizer steps between two checkpoints."""
    every_minutes: int = Field(default=30, ge=1, le=10_080)
    """Minutes after which a checkpoint is saved in any case."""
    keep_latest: int = Field(default=3, ge=1, le=100)
    """Checkpoints to keep; an older one is removed when a newer one is complete."""


class Training(ApiModel):
    """Everything that decides the weights."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.globalBatchSize) || self.globalBatchSize % self.microBatchSize == 0",
            "wanted a multiple of microBatchSize",
            lambda training: (
                training.global_batch_size is None
                or training.global_batch_size % training.micro_batch_size == 0
            ),
            at="globalBatchSize",
        ),
    )

    method: Literal["full", "lora"] = "full"
    """`full` trains every weight, `lora` trains adapters and merges them at the end."""
    lora: Lora = Lora()
    """Settings of the adapters; used when method is `lora`."""
    template: Literal["auto", "wizardlm", "alpaca", "vicuna"] = "auto"
    """How rows become text; `auto` takes the chat template of the tokenizer."""
    epochs: Epochs = "3"
    """Times that every row is seen; fractions are allowed."""
    max_length: int = Field(default=2048, ge=16, le=1_048_576)
    """Tokens of the longest row; longer rows are cut, or rejected when no answer is left."""
    global_batch_size: Annotated[int, Field(ge=1, le=1_048_576)] | None = None
    """Rows an optimizer step learns from, over all processes; it stays the same when the number
    of processes changes. Absent means microBatchSize x gradientAccumulationSteps x processes."""
    micro_batch_size: int = Field(default=8, ge=1, le=4096)
    """Rows a process handles at once; lower it when memory runs out."""
    gradient_accumulation_steps: int = Field(default=4, ge=1, le=4096)
    """Micro-batches a process adds up before an optimizer step; set by globalBatchSize if that
    is there."""
    learning_rate: LearningRate = "2e-5"
    """Highest step size of the optimizer."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup_steps: int = Field(default=2, ge=0, le=1_000_000)
    """Optimizer steps in which the learning rate rises from 0."""
    weight_decay: Share = "0"
    """Pull of the weights towards 0, as in AdamW."""
    max_grad_norm: Annotated[str, DECIMAL, between(0, 1000, above=True)] = "1.0"
    """Longer gradients are scaled down to this norm."""
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    """Number format of the computation; bf16 needs an A100 or newer, or a CPU."""
    gradient_checkpointing: bool = True
    """Compute activations twice instead of keeping them: less memory, about a third slower."""
    packing: Literal["auto", "on", "off"] = "auto"
    """Put several rows into one sequence; `auto` does so on GPUs whose torch has a kernel for it
    (or with the package flash-attn), and else pads groups of rows of like length. Put quotes around
    "on" and "off" in YAML: kubectl reads the bare words as booleans."""
    torch_compile: bool = False
    """On a GPU, generate kernels for the model's layers: quicker steps after a first one that
    takes a minute. Needs a C compiler in the image, and deepspeed.stage 2 or lower with several
    GPUs."""
    liger_kernels: bool = False
    """On a GPU, use the kernels of the package liger-kernel for norms, rotations and activations.
    Needs the package and a C compiler in the image."""
    seed: int = Field(default=42, ge=0, le=2_147_483_647)
    """Start of every random choice: order of the rows, dropout, new weights."""
    deepspeed: DeepSpeed = DeepSpeed()
    """How the training state is spread over the processes."""
    checkpoints: Checkpoints = Checkpoints()
    """When the training state is saved."""
    validation_fraction: Annotated[str, DECIMAL, between(0, 0.5)] = "0"
    """Share of the kept rows held out of training, 0 to 0.5; they measure perplexity."""
    control: bool = False
    """Train a second model on the unfiltered rows, with the same seed and number of steps, to
    compare with."""


class Layer(ApiModel):
    """One alignment layer: an adapter trained on top of the model."""

    name: EntryName
    """Name of the layer; its adapter is published under it."""
    method: Literal["sft", "dpo"] = "sft"
    """`sft` learns from answers, `dpo` from pairs of a better and a worse answer."""
    dataset: DataSource
    """Rows of the layer."""
    lora: Lora = Lora()
    """Size of the adapter."""
    learning_rate: LearningRate = "1e-5"
    """Highest step size of the optimizer."""
    epochs: Epochs = "1"
    """Times that every row is seen."""
    beta: Annotated[str, DECIMAL, between(0, 100, above=True)] = "0.1"
    """With dpo, how closely the model stays to what it was; more is closer."""
