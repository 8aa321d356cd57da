"""The resource: `UncensorTraining` of uncensor.dev/v1alpha1, with its spec and status.

The parts of the spec stand in modules of their own and are named here, so that users of the API
import this module only.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from uncensor_operator.api.base import ApiModel, ListMap, Rule, unchanged
from uncensor_operator.api.kinds import RunName
from uncensor_operator.api.outcome import (
    Evaluation,
    Gates,
    PerplexityEvaluation,
    Probe,
    Publish,
    PublishHuggingFace,
    PublishOci,
    PublishS3,
    RefusalEvaluation,
    Reporting,
)
from uncensor_operator.api.running import (
    Compute,
    RunPolicy,
    StageOverrides,
    StageResources,
    TrainingResources,
    WorkspaceVolume,
)
from uncensor_operator.api.sources import (
    Dataset,
    DataSource,
    HttpSource,
    HuggingFaceSource,
    InputSource,
    ModelSource,
    PackageSource,
    S3Source,
    SecretKeyRef,
    SecretRef,
    Source,
)
from uncensor_operator.api.status import Status
from uncensor_operator.api.training import (
    Action,
    Checkpoints,
    DeepSpeed,
    ExtraRule,
    Filter,
    FilterActions,
    Layer,
    Lora,
    RefusalClass,
    Training,
)

__all__ = [
    "Action",
    "Checkpoints",
    "Compute",
    "DataSource",
    "Dataset",
    "DeepSpeed",
    "Evaluation",
    "ExtraRule",
    "Filter",
    "FilterActions",
    "Gates",
    "HttpSource",
    "HuggingFaceSource",
    "InputSource",
    "Layer",
    "Lora",
    "Metadata",
    "ModelSource",
    "PackageSource",
    "PerplexityEvaluation",
    "Probe",
    "Publish",
    "PublishHuggingFace",
    "PublishOci",
    "PublishS3",
    "RefusalClass",
    "RefusalEvaluation",
    "Reporting",
    "RunPolicy",
    "S3Source",
    "SecretKeyRef",
    "SecretRef",
    "Source",
    "Spec",
    "StageOverrides",
    "StageResources",
    "Status",
    "Training",
    "TrainingResources",
    "UncensorTraining",
    "WorkspaceVolume",
]


class Metadata(ApiModel):
    """What Kubernetes knows about every object; the API server owns most of it."""

    name: RunName
    """Name of the run; short, because the names of its pods begin with it."""
    namespace: str | None = None
    """Namespace of the run; a local run ignores it."""
    labels: dict[str, str] = Field(default={})
    """Passed on to every child, for example `kueue.x-k8s.io/queue-name`."""
    annotations: dict[str, str] = Field(default={})
    """Notes of tools and people."""
    uid: str | None = None
    """Written by the API server."""
    generation: int | None = None
    """Written by the API server: the number of changes of the spec."""
    resource_version: str | None = None
    """Written by the API server."""
    creation_timestamp: str | None = None
    """Written by the API server."""
    deletion_timestamp: str | None = None
    """Written by the API server once the run is being deleted."""
    deletion_grace_period_seconds: int | None = None
    """Written by the API server."""
    finalizers: tuple[str, ...] = ()
    """Work that is left before the run may go."""
    generate_name: str | None = None
    """Beginning of a name that the API server completed."""
    self_link: str | None = None
    """Written by old API servers."""
    owner_references: tuple[dict[str, Any], ...] = ()
    """Objects that the run goes away with."""
    managed_fields: tuple[dict[str, Any], ...] = ()
    """Written by the API server: who set which field."""


class Spec(ApiModel):
    """What the run shall do."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.compute.nodes == 1 || self.workspace.accessMode == 'ReadWriteMany' || "
            "has(self.workspace.existingClaim)",
            "wanted ReadWriteMany, because compute.nodes is above 1 and every node writes to it",
            lambda spec: (
                spec.compute.nodes == 1
                or spec.workspace.access_mode == "ReadWriteMany"
                or spec.workspace.existing_claim is not None
            ),
            at="workspace.accessMode",
        ),
    )

    model: ModelSource
    """The model to train."""
    datasets: Annotated[tuple[Dataset, ...], Field(min_length=1, max_length=32), ListMap("name")]
    """The instruction data sets to train on, one after another before shuffling."""
    filter: Filter = Filter()
    """Which rows the model does not get to see."""
    training: Training = Training()
    """Everything that decides the weights."""
    alignment: Annotated[tuple[Layer, ...], Field(max_length=8), ListMap("name")] = ()
    """Alignment layers of your own, trained on top in this order."""
    compute: Compute = Compute()
    """What the training runs on."""
    workspace: WorkspaceVolume = WorkspaceVolume()
    """The volume that everything is written to."""
    probe: Probe = Probe()
    """Answers to a fixed list of instructions, for people to read."""
    evaluation: Evaluation = Evaluation()
    """How the models are compared."""
    publish: Publish | None = None
    """Where the finished model goes; absent leaves it on the workspace."""
    reporting: Reporting | None = None
    """Where metrics go beside the workspace."""
    suspend: bool = False
    """Save, stop, and give the nodes back; `false` goes on from there."""
    run_policy: RunPolicy = RunPolicy()
    """What happens when something fails or takes too long."""


# What decides the weights; everything else of the spec may change at any time.
_FROZEN_BY_TRAINING = (
    "model",
    "datasets",
    "filter",
    "training",
    "alignment",
    "compute.pool",
    "compute.nodes",
    "compute.gpusPerNode",
    "probe",
    "reporting",
)


def _frozen_by_training(field: str) -> Rule:
    """Return the rule that a field of the spec cannot change once training has begun.

    Until then it may: a filter that would drop too much, say, is corrected in place, and the
    stages that depend on it are done again.
    """
    return Rule(
        "!has(oldSelf.status) || !has(oldSelf.status.training) || "
        f"!has(oldSelf.status.training.startedAt) || ({unchanged(f'spec.{field}')})",
        "cannot change once training has begun: create a new run (what is fetched already is used "
        "again), or take the change back",
        None,
        at=f"spec.{field}",
    )


class UncensorTraining(ApiModel):
    """A run: from a model and instruction data with refusals in it to a model without them."""

    rules: ClassVar[tuple[Rule, ...]] = tuple(map(_frozen_by_training, _FROZEN_BY_TRAINING))

    api_version: Literal["uncensor.dev/v1alpha1"]
    """Version of the API; always uncensor.dev/v1alpha1."""
    kind: Literal["UncensorTraining"]
    """Kind of the object; always UncensorTraining."""
    metadata: Metadata
    """Name, labels and what else Kubernetes knows about every object."""
    spec: Spec
    """What the run shall do."""
    status: Status = Status()
    """State of the run; written by the operator."""
