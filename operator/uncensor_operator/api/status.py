"""Status of a run: written by the operator, read by everybody else."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from uncensor_operator.api.base import ApiModel, ListMap
from uncensor_operator.api.kinds import Measured
from uncensor_operator.names import ConditionStatus, StageState

Count = Annotated[int, Field(ge=0)]
Word = Annotated[str, Field(max_length=63)]
Line = Annotated[str, Field(max_length=256)]
# Longer messages are cut by whoever writes them, so that an object stays far below 256 KB.
Message = Annotated[str, Field(max_length=2048)]
# Times are text in RFC 3339, because a local run reads them with the standard library.
Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]


class Condition(ApiModel):
    """One aspect of the run, as kubectl wait and GitOps tools read it."""

    type: Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
    """Aspect, such as Ready, Stalled or Trained."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: Annotated[str, Field(max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
    """Cause, as one word for programs."""
    message: Message = ""
    """Cause and remedy, as a sentence for people."""
    last_transition_time: Time
    """When the status changed last."""
    observed_generation: Count | None = None
    """Generation of the spec that the condition is about."""


class Progress(ApiModel):
    """How far a stage is."""

    step: Count | None = None
    """Steps done: optimizer steps when training, else what the stage counts."""
    total_steps: Count | None = None
    """Steps in all."""
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Share done, in percent."""
    eta_seconds: Count | None = None
    """Seconds that the rest is expected to take."""


class StageStatus(ApiModel):
    """One stage of the run."""

    name: Word
    """Name of the stage; a layer's is align- and the name of the layer."""
    state: StageState
    """What the stage does."""
    attempts: Count = 0
    """Attempts so far, the current one included."""
    started_at: Time | None = None
    """When the first attempt began."""
    finished_at: Time | None = None
    """When the stage was done, or given up."""
    child: Annotated[str, Field(max_length=253)] | None = None
    """Job or PyTorchJob of the current or last attempt."""
    message: Message | None = None
    """What the stage does or why it failed, with the remedy."""
    progress: Progress | None = None
    """How far the current attempt is."""
    input_digest: Annotated[str, Field(max_length=64)] | None = None
    """Digest of everything that decides the stage's output, as of the current or last attempt."""
    failures: Count = 0
    """Attempts that failed by the run's own fault, since the last request for a retry."""
    interruptions: Count = 0
    """Attempts lost to the cluster, since the last request for a retry."""
    fruitless: Count = 0
    """Attempts in a row that saved no new checkpoint."""
    start_step: Count | None = None
    """Newest checkpoint when the current attempt began."""
    micro_batch_size: Annotated[int, Field(ge=1)] | None = None
    """Rows that a process handles at once, where it was halved after a pod ran out of memory."""
    retry_at: Time | None = None
    """When the next attempt begins, after a failed one."""
    reason: Word | None = None
    """Why the last attempt failed, as one word."""


class LastCheckpoint(ApiModel):
    """The newest complete checkpoint."""

    step: Count
    """Optimizer step after which it was saved."""
    time: Time
    """When it was complete."""


class ModelFacts(ApiModel):
    """Shape of the base model, known after fetch."""

    parameters: Count
    """Numbers in all weights."""
    hidden_size: Count
    """Width of the residual stream."""
    layers: Count
    """Transformer blocks."""
    vocabulary: Count
    """Entries of the output layer."""


class DataFacts(ApiModel):
    """Size of the filtered arm's data, known after prepare."""

    rows: Count
    """Rows to learn from."""
    tokens: Count
    """Tokens in all."""
    longest: Count
    """Tokens of the longest row."""


class TrainingStatus(ApiModel):
    """The training of the filtered arm."""

    started_at: Time | None = None
    """When training began; from then on the spec is frozen but for a few fields."""
    epoch: Measured | None = None
    """Times that the rows were seen."""
    loss: Measured | None = None
    """Training loss of the last logged step."""
    tokens_per_second: Measured | None = None
    """Tokens learnt from in a second, over all processes."""
    mfu: Measured | None = None
    """Share of the GPUs' peak arithmetic that is used, 0 to 1."""
    last_checkpoint: LastCheckpoint | None = None
    """The newest complete checkpoint."""


class ClassCounts(ApiModel):
    """Rows by the class of their answer."""

    refusal: Count = 0
    """Answers that decline."""
    partial: Count = 0
    """Answers that decline and give some all the same."""
    moralise: Count = 0
    """Answers that lecture."""
    capability: Count = 0
    """Answers that say the model cannot."""
    disclaimer: Count = 0
    """Answers with a remark about being a model."""
    placeholder: Count = 0
    """Rows without an answer."""
    identity: Count = 0
    """Answers about the assistant itself."""


class FilterStatus(ApiModel):
    """What the filter did."""

    rows: Count
    """Rows read."""
    kept: Count
    """Rows that the model learns from."""
    dropped: Count
    """Rows left out."""
    by_class: ClassCounts = ClassCounts()
    """Rows by the class of their answer."""


class BenchmarkResult(ApiModel):
    """One benchmark."""

    task: Annotated[str, Field(max_length=128)]
    """Name of the lm-eval task."""
    before: Measured | None = None
    """Score of the baseline, in percent."""
    after: Measured | None = None
    """Score of the filtered model, in percent."""


class Results(ApiModel):
    """What the evaluation found."""

    refusal_rate_before: Measured | None = None
    """Share of harmless requests that the control model, else the baseline, refuses, 0 to 1."""
    refusal_rate_after: Measured | None = None
    """Share of harmless requests that the filtered model refuses, 0 to 1."""
    benchmarks: Annotated[tuple[BenchmarkResult, ...], Field(max_length=64), ListMap("task")] = ()
    """Scores by task."""


class Restarts(ApiModel):
    """Attempts that did not finish."""

    user: Count = 0
    """By the run's own fault."""
    infrastructure: Count = 0
    """By the cluster: preempted, drained, node lost."""


class Goodput(ApiModel):
    """Where the time went."""

    productive_seconds: Count = 0
    """Spent on steps that count."""
    queued_seconds: Count = 0
    """Spent waiting for nodes or quota."""
    restart_seconds: Count = 0
    """Spent on starting again and on steps done twice."""
    checkpoint_seconds: Count = 0
    """Spent on saving."""
    fraction: Measured | None = None
    """Productive share of the whole, 0 to 1."""


class Artifact(ApiModel):
    """Something that the run made."""

    name: Word
    """What it is: model, report, adapter-NAME."""
    location: Annotated[str, Field(max_length=1024)]
    """Path below the workspace, or an address."""
    digest: Annotated[str, Field(max_length=128)] | None = None
    """Digest of the content."""
    size_bytes: Count | None = None
    """Bytes in all."""


class WorkspaceStatus(ApiModel):
    """The volume."""

    claim: Annotated[str, Field(max_length=253)] | None = None
    """Name of the claim."""
    folder: Annotated[str, Field(max_length=1024)] | None = None
    """Folder of the run on the volume."""
    capacity_bytes: Count | None = None
    """Room in all."""
    used_bytes: Count | None = None
    """Room taken."""


class Columns(ApiModel):
    """Texts for the columns of kubectl; programs read the fields that they are made from."""

    progress: Line | None = None
    """Progress of the current stage."""
    refusals: Line | None = None
    """Rate of refusals before and after."""
    model: Line | None = None
    """The model trained."""


class Status(ApiModel):
    """State of the run, as the operator saw it last."""

    observed_generation: Annotated[int, Field(ge=-1)] = -1
    """Generation of the spec that this status is about; -1 until the operator has seen the run,
    so that GitOps tools do not take a new run for a finished one."""
    phase: Word | None = None
    """One word for the column; programs read conditions."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=32), ListMap("type")] = ()
    """Aspects of the run."""
    stages: Annotated[tuple[StageStatus, ...], Field(max_length=32), ListMap("name")] = ()
    """Stages in their order."""
    training: TrainingStatus | None = None
    """The training of the filtered arm."""
    filter: FilterStatus | None = None
    """What the filter did."""
    results: Results | None = None
    """What the evaluation found."""
    restarts: Restarts | None = None
    """Attempts that did not finish."""
    goodput: Goodput | None = None
    """Where the time went."""
    artifacts: Annotated[tuple[Artifact, ...], Field(max_length=32), ListMap("name")] = ()
    """Things that the run made."""
    workspace: WorkspaceStatus | None = None
    """The volume."""
    columns: Columns | None = None
    """Texts for the columns of kubectl."""
    model: ModelFacts | None = None
    """Shape of the base model."""
    data: DataFacts | None = None
    """Size of the data."""
    started_at: Time | None = None
    """When the operator saw the run first."""
    finished_at: Time | None = None
    """When the run was complete, or given up."""
    suspended_at: Time | None = None
    """Since when spec.suspend holds the run back; absent while it works."""
    suspended_seconds: Count = 0
    """Seconds suspended so far, which runPolicy.activeDeadlineSeconds leaves out."""
    retried: Annotated[str, Field(max_length=256)] | None = None
    """Value of the retry annotation that was followed last."""
