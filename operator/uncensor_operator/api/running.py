"""How a run is carried out: compute, workspace, and what happens when something fails."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from uncensor_operator.api.base import ApiModel, Rule, unchanged
from uncensor_operator.api.kinds import EntryName, ObjectName, Quantity

Seconds = Annotated[int, Field(ge=1, le=31_536_000)]


class TrainingResources(ApiModel):
    """What a pod of a training stage gets; its GPUs are compute.gpusPerNode."""

    cpus: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU cores; absent takes the setting of the pool."""
    memory: Quantity | None = None
    """Main memory; absent takes the setting of the pool."""


class StageResources(TrainingResources):
    """What the pod of a stage gets."""

    gpus: Annotated[int, Field(ge=0, le=64)] | None = None
    """GPUs of the pool; absent takes the setting of the stage."""


class StageOverrides(ApiModel):
    """Resources of single stages, where the administrator's settings do not fit."""

    fetch: StageResources | None = None
    """Bringing models and data."""
    filter: StageResources | None = None
    """Judging rows."""
    prepare: StageResources | None = None
    """Turning rows into tokens."""
    train: TrainingResources | None = None
    """Training, of the control arm too."""
    align: TrainingResources | None = None
    """Training of alignment layers."""
    probe: StageResources | None = None
    """Answering the fixed list of instructions."""
    evaluate: StageResources | None = None
    """Refusal rates, perplexity and benchmarks."""
    publish: StageResources | None = None
    """Uploading the model."""
    report: StageResources | None = None
    """Writing the report."""


class Compute(ApiModel):
    """What the training runs on; a local run takes the processors of this machine instead."""

    pool: EntryName | None = None
    """Kind of node, by the name that the administrator gave it; absent takes the default one."""
    nodes: int = Field(default=1, ge=1, le=1024)
    """Machines that train together."""
    gpus_per_node: int = Field(default=4, ge=0, le=64)
    """GPUs, and training processes, on each machine; 0 trains on CPUs with one process."""
    stages: StageOverrides = StageOverrides()
    """Resources of single stages."""


class WorkspaceVolume(ApiModel):
    """The volume that everything is written to; a local run uses a folder instead."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.size == oldSelf.size && self.accessMode == oldSelf.accessMode && "
            f"{unchanged('storageClassName')} && {unchanged('existingClaim')}",
            "only retain can be changed, because the volume exists already: to use another one, "
            "create a new run",
            None,
        ),
    )

    size: Quantity = "2Ti"
    """Room to ask for; ignored with existingClaim."""
    storage_class_name: ObjectName | None = None
    """Storage class; absent takes the cluster's default. Ignored with existingClaim."""
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"] = "ReadWriteMany"
    """How pods may mount the volume; several nodes need ReadWriteMany."""
    existing_claim: ObjectName | None = None
    """A claim of your own to use instead of a new one, for example to share fetched models."""
    retain: bool = True
    """Keep the volume when the run is deleted."""


class RunPolicy(ApiModel):
    """What happens when something fails or takes too long."""

    backoff_limit: int = Field(default=3, ge=0, le=100)
    """Failed attempts of a stage, by the stage's own fault, before the run stops."""
    max_infrastructure_restarts: int = Field(default=50, ge=0, le=10_000)
    """Attempts lost to the cluster (preempted, drained, node lost) before the run stops."""
    no_progress_limit: int = Field(default=3, ge=1, le=100)
    """Attempts in a row without a new checkpoint before the run stops."""
    active_deadline_seconds: Seconds | None = None
    """Seconds that the run may be active in all, without the time suspended; absent is no limit."""
    start_deadline_seconds: Seconds = 1800
    """Seconds that the pods of an attempt may take to start once they have a node."""
    stall_timeout_seconds: Seconds = 1800
    """Seconds without a heartbeat of the training after which an attempt is replaced."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    """Seconds after which the pods of a finished run are removed; absent keeps them."""
    termination_grace_period_seconds: Annotated[int, Field(ge=30, le=3600)] = 300
    """Seconds that a stopped attempt gets to save a checkpoint; the last ten are torchrun's own."""
