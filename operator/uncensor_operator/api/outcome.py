"""What is done with the trained models: probe, evaluation, publishing, reporting."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from uncensor_operator.api.base import ApiModel, ListSet, Rule, at_least_one_of
from uncensor_operator.api.kinds import (
    DECIMAL,
    Bucket,
    HubRepo,
    Label,
    ObjectPrefix,
    OciReference,
    Path,
    Region,
    Share,
    TaskName,
    Url,
    between,
)
from uncensor_operator.api.sources import (
    BUNDLED,
    InputSource,
    ModelSource,
    SecretKeyRef,
    SecretRef,
)


class Probe(ApiModel):
    """Answers of every model to a fixed list of instructions, for people to read."""

    input: InputSource = BUNDLED
    """JSON lines with `idx` and `Instruction`."""
    max_new_tokens: int = Field(default=2048, ge=1, le=32_768)
    """Tokens of the longest answer."""


class RefusalEvaluation(ApiModel):
    """How often a model refuses harmless requests."""

    prompts: InputSource = BUNDLED
    """JSON lines with `prompt`."""
    max_new_tokens: int = Field(default=64, ge=8, le=4096)
    """Tokens of the longest answer; a refusal shows in its first words."""
    batch_size: int = Field(default=16, ge=1, le=1024)
    """Prompts answered at once; lower it when memory runs out."""


class PerplexityEvaluation(ApiModel):
    """How well a model predicts good answers; lower is better."""

    answers: InputSource = BUNDLED
    """JSON lines with `instruction` and `response`; `bundled` takes the rows that
    training.validationFraction holds out, and the list of the trainer when it is 0."""


class Gates(ApiModel):
    """Limits that the filtered model must keep to be published; absent means no limit."""

    max_refusal_rate: Share | None = None
    """Highest share of harmless requests refused, 0 to 1."""
    max_benchmark_drop: Annotated[str, DECIMAL, between(0, 100)] | None = None
    """Largest loss in any benchmark against the baseline, in percentage points."""


class Evaluation(ApiModel):
    """How the models are compared."""

    baseline: ModelSource | None = None
    """A model to compare with, as it is; absent compares the trained models only."""
    refusal: RefusalEvaluation = RefusalEvaluation()
    """Rate of refusals, with intervals."""
    perplexity: PerplexityEvaluation = PerplexityEvaluation()
    """Perplexity of good answers."""
    benchmarks: Annotated[tuple[TaskName, ...], Field(max_length=64), ListSet()] = ()
    """Names of lm-eval tasks."""
    task_path: Path | None = None
    """Folder on the workspace with tasks and their data, for clusters without internet."""
    gates: Gates = Gates()
    """Limits that the filtered model must keep."""


class PublishHuggingFace(ApiModel):
    """A model repository on the Hugging Face hub."""

    repo: HubRepo
    """Repository as `owner/name`; it is made when it does not exist."""
    private: bool = True
    """Leave the repository private after the upload is verified."""
    token_secret_ref: SecretKeyRef
    """Token with the right to write."""


class PublishS3(ApiModel):
    """A prefix in an S3 bucket."""

    bucket: Bucket
    """Name of the bucket."""
    prefix: ObjectPrefix | None = None
    """Beginning of the object names; absent takes the name of the run."""
    endpoint: Url | None = None
    """Address of an S3-compatible server; absent means Amazon's."""
    region: Region | None = None
    """Region of the bucket; absent lets the server decide."""
    credentials_secret_ref: SecretRef
    """Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."""


class PublishOci(ApiModel):
    """An artifact in an OCI registry."""

    reference: OciReference
    """Repository and tag to push to."""
    credentials_secret_ref: SecretRef
    """Secret of the type kubernetes.io/dockerconfigjson."""


class Publish(ApiModel):
    """Where the finished model goes: one or more of the fields."""

    rules: ClassVar[tuple[Rule, ...]] = (at_least_one_of("hugging_face", "s3", "oci"),)

    hugging_face: PublishHuggingFace | None = None
    """A model repository on the Hugging Face hub."""
    s3: PublishS3 | None = None
    """A prefix in an S3 bucket."""
    oci: PublishOci | None = None
    """An artifact in an OCI registry."""


class Wandb(ApiModel):
    """Weights & Biases."""

    project: Label
    """Project that the run appears in."""
    entity: Label | None = None
    """Team or user that owns the project; absent takes the token's own."""
    token_secret_ref: SecretKeyRef
    """Key of the account that writes. `uncensor run` takes WANDB_API_KEY instead, and without one
    keeps the metrics on the workspace, for `wandb sync`."""


class Trackio(ApiModel):
    """Trackio, on disk or in a Hugging Face Space."""

    project: Label
    """Project that the run appears in."""
    space: HubRepo | None = None
    """Space to send the metrics to; absent keeps them on the workspace."""
    token_secret_ref: SecretKeyRef | None = None
    """Token with the right to write to the Space; `uncensor run` takes HF_TOKEN instead."""


class TensorBoard(ApiModel):
    """TensorBoard event files on the workspace."""

    flush_seconds: int = Field(default=30, ge=1, le=3600)
    """Seconds between two writes."""


class MlFlow(ApiModel):
    """MLflow: a tracking server, or a data base on the workspace."""

    tracking_uri: Url | None = None
    """Address of the server; absent keeps the metrics on the workspace, in mlflow/mlflow.db."""
    experiment: Label
    """Experiment that the run appears in."""
    token_secret_ref: SecretKeyRef | None = None
    """Token for the server; `uncensor run` takes MLFLOW_TRACKING_TOKEN instead."""


class Reporting(ApiModel):
    """Where the metrics of training go beside metrics.jsonl: one or more of the fields."""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_least_one_of("wandb", "trackio", "tensorboard", "mlflow"),
    )

    wandb: Wandb | None = None
    """Metrics go to Weights & Biases."""
    trackio: Trackio | None = None
    """Metrics go to Trackio."""
    tensorboard: TensorBoard | None = None
    """Metrics go to TensorBoard event files on the workspace."""
    mlflow: MlFlow | None = None
    """Metrics go to MLflow."""
