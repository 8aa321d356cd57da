"""The run file: the contract between the plan (operator, local runner) and the trainer.

The plan writes it with every setting resolved; the trainer reads it strictly. Only pydantic is
imported here, because the operator imports this module too. A change of meaning raises `VERSION`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from uncensor_trainer.exits import InvalidInput

VERSION = "uncensor.dev/run/v1"

Arm = Literal["filtered", "control", "baseline"]
RefusalClass = Literal[
    "refusal", "partial", "moralise", "capability", "disclaimer", "placeholder", "identity"
]
Action = Literal["drop", "cut", "drop-turn", "strip", "keep"]

# Raising a number makes finished outputs of that stage stale, because their meaning changed.
STAGE_REVISIONS: dict[str, int] = {
    "fetch": 1,
    "filter": 3,
    "prepare": 1,
    "train": 1,
    "train-control": 1,
    "probe": 1,
    "evaluate": 3,
    "report": 1,
}


class RunModel(BaseModel):
    """Strict and immutable: an unknown field or a wrong type is an error, not a guess."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class HubSource(RunModel):
    """A repository on a Hugging Face compatible hub (`HF_ENDPOINT` chooses which)."""

    kind: Literal["huggingFace"] = "huggingFace"
    repo: str
    revision: str = "main"
    """Branch, tag or commit; resolved to a commit and recorded."""
    files: tuple[str, ...] = ()
    """Glob patterns; empty means everything that the loader needs."""
    repo_type: Literal["model", "dataset"] = "model"


class HttpSource(RunModel):
    """One file by HTTP(S), resumed after an interruption."""

    kind: Literal["http"] = "http"
    url: str
    sha256: str | None = None
    """Expected digest in hex; None accepts and records what came."""
    filename: str | None = None
    """Name to store it under; None takes the last part of the URL."""


class PathSource(RunModel):
    """A file or folder on this machine or on the workspace."""

    kind: Literal["path"] = "path"
    path: str
    """Absolute, or relative to the workspace."""


class PackageSource(RunModel):
    """A file shipped inside an installed Python package."""

    kind: Literal["package"] = "package"
    name: str
    """Distribution name as pip knows it."""
    version: str | None = None
    """Exact version wanted; None accepts what is installed."""
    file: str
    """Path below site-packages, beginning with the import package."""


Source = Annotated[HubSource | HttpSource | PathSource | PackageSource, Field(discriminator="kind")]


class Dataset(RunModel):
    """One instruction data set."""

    name: str
    source: Source
    format: Literal["auto", "alpaca", "sharegpt", "messages", "prompt-completion"] = "auto"
    max_rows: int | None = None
    """Only the first rows; None takes all."""


class ExtraRule(RunModel):
    """A pattern of the user's own, in RE2 syntax, matched case-insensitively in answers."""

    name: str
    refusal_class: RefusalClass
    pattern: str


class FilterSettings(RunModel):
    """What happens to rows whose answer refuses."""

    mode: Literal["enforce", "audit", "off"] = "enforce"
    actions: dict[RefusalClass, Action]
    extra_rules: tuple[ExtraRule, ...] = ()
    max_drop_fraction: float = 0.6
    """More than this share dropped is refused as a mistake (0 to 1)."""


class LoraSettings(RunModel):
    """Low-rank adapters."""

    rank: int = 16
    alpha: int = 32
    target_modules: str | tuple[str, ...] = "all-linear"


class DeepSpeedSettings(RunModel):
    """ZeRO sharding."""

    stage: Literal[0, 1, 2, 3] = 3
    offload: Literal["none", "optimizer", "all"] = "none"


class CheckpointSettings(RunModel):
    """When training state is saved."""

    every_steps: int = 800
    every_minutes: int = 30
    keep_latest: int = 3
    asynchronous: bool = True
    """Write in the background while training goes on; needs memory for one copy of the state."""


class TrainingSettings(RunModel):
    """Everything that decides the weights."""

    method: Literal["full", "lora"] = "full"
    lora: LoraSettings = LoraSettings()
    template: Literal["auto", "wizardlm", "alpaca", "vicuna"] = "auto"
    epochs: float = 3.0
    max_length: int = 2048
    """Tokens of the longest row; longer rows are cut, or rejected when no answer is left."""
    micro_batch_size: int = 8
    """Rows a process handles at once."""
    gradient_accumulation_steps: int = 4
    learning_rate: float = 2e-5
    schedule: str = "cosine"
    warmup_steps: int = 2
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    gradient_checkpointing: bool = True
    packing: Literal["auto", "on", "off"] = "auto"
    """Several rows in one sequence; auto where a kernel keeps them apart for free."""
    torch_compile: bool = False
    """Generate kernels for the model's layers; GPUs only."""
    liger_kernels: bool = False
    """Kernels of the package liger-kernel instead of torch's; GPUs only."""
    seed: int = 42
    deepspeed: DeepSpeedSettings = DeepSpeedSettings()
    checkpoints: CheckpointSettings = CheckpointSettings()
    validation_fraction: float = 0.0
    """Share of the kept rows held out of training (0 to below 1); they measure perplexity."""
    control: bool = False
    """Also train on the unfiltered rows: same seed, same number of optimizer steps."""


class ProbeSettings(RunModel):
    """Answers to a fixed list of instructions, for people to read."""

    input: Source | None = None
    """JSON lines with `idx` and `Instruction`; None uses the bundled list."""
    max_new_tokens: int = 2048
    batch_size: int = 8


class RefusalEvaluation(RunModel):
    """How often a model refuses harmless requests."""

    prompts: Source | None = None
    """JSON lines with `prompt`; None uses the bundled list."""
    max_new_tokens: int = 64
    batch_size: int = 16


class EvaluationSettings(RunModel):
    """How the arms are compared."""

    baseline: Source | None = None
    """A model to compare with, before training; None compares the trained arms only."""
    refusal: RefusalEvaluation = RefusalEvaluation()
    perplexity_answers: Source | None = None
    """JSON lines with `instruction` and `response`; None uses held-out rows, else the bundled."""
    max_refusal_rate: float | None = None
    """Gate: the filtered arm's rate must not be above it (0 to 1)."""


class TensorBoard(RunModel):
    """Event files on the workspace."""

    flush_seconds: int = 30


class Wandb(RunModel):
    """Weights & Biases; without a key, files on the workspace."""

    project: str
    entity: str | None = None


class Trackio(RunModel):
    """Trackio, in a Hugging Face Space or on the workspace."""

    project: str
    space: str | None = None


class MlFlow(RunModel):
    """An MLflow server, or a data base on the workspace."""

    experiment: str
    tracking_uri: str | None = None


class Reporting(RunModel):
    """Where the metrics of training go beside metrics.jsonl; tokens come as files or variables."""

    tensorboard: TensorBoard | None = None
    wandb: Wandb | None = None
    trackio: Trackio | None = None
    mlflow: MlFlow | None = None

    @property
    def needs_network(self) -> bool:
        """Whether a place that metrics go to lies outside the workspace."""
        space = self.trackio.space if self.trackio else None
        server = self.mlflow.tracking_uri if self.mlflow else None
        return self.wandb is not None or space is not None or server is not None


class Compute(RunModel):
    """What the train stage runs on."""

    nodes: int = 1
    processes_per_node: int = 1
    gpus_per_node: int = 0

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return self.nodes * self.processes_per_node


class StagePlan(RunModel):
    """One stage of this run, with the digest of everything that decides its output."""

    name: str
    digest: str
    """sha256 in hex over settings, upstream digests and the stage's revision."""
    needs: tuple[str, ...] = ()


class RunFile(RunModel):
    """One run, completely resolved."""

    version: Literal["uncensor.dev/run/v1"] = "uncensor.dev/run/v1"
    run: str
    workspace: str
    """Absolute path of the workspace."""
    stages: tuple[StagePlan, ...]
    model: Source
    datasets: tuple[Dataset, ...] = Field(min_length=1)
    filter: FilterSettings
    training: TrainingSettings = TrainingSettings()
    probe: ProbeSettings = ProbeSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    reporting: Reporting = Reporting()
    compute: Compute = Compute()

    def stage(self, name: str) -> StagePlan:
        """Return the plan of one stage.

        Raises:
            InvalidInput: this run has no such stage.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        known = ", ".join(stage.name for stage in self.stages)
        raise InvalidInput(f"This run has no stage {name!r}; it has: {known}.")

    @property
    def global_batch_size(self) -> int:
        """Rows of one optimizer step, over all processes."""
        training = self.training
        rows = training.micro_batch_size * training.gradient_accumulation_steps
        return rows * self.compute.world_size

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The models to compare, the filtered one first."""
        arms: list[Arm] = ["filtered"]
        if self.training.control:
            arms.append("control")
        if self.evaluation.baseline is not None:
            arms.append("baseline")
        return tuple(arms)


def read_run_file(path: Path) -> RunFile:
    """Read a run file strictly.

    Raises:
        InvalidInput: it is missing, not JSON, of another version, or has wrong fields.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"The run file {path} cannot be read: {error.strerror}.") from error
    try:
        return RunFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InvalidInput(
            f"The run file {path} does not follow {VERSION}: {where}: {first['msg']} "
            "(operator and trainer image must be of the same release)."
        ) from error
