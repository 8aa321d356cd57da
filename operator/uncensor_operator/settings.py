"""The operator's settings: what the administrator decides, once for all runs.

The chart renders them into a ConfigMap; `UNCENSOR_SETTINGS` names the mounted file. Users of the
API name a pool and nothing else: images, node labels and tolerations stand here only, so that a
run gives no more than a restricted pod.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from uncensor_operator.errors import UncensorError
from uncensor_operator.names import StageName
from uncensor_operator.profiles import PROFILES
from uncensor_operator.quantities import quantity_bytes

VARIABLE = "UNCENSOR_SETTINGS"
DEFAULT_PATH = Path("/etc/uncensor-operator/settings.yaml")

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Cores = Annotated[float, Field(gt=0, le=1024)]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$")]


class SettingsModel(BaseModel):
    """Strict and immutable: an unknown key is a mistake of the administrator, not a guess."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )


class Image(SettingsModel):
    """Where pods get their program from."""

    reference: str = Field(min_length=1, max_length=512)
    """Image of the trainer, best by digest."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When nodes ask the registry."""
    pull_secrets: tuple[str, ...] = ()
    """Secrets with registry credentials, in the namespace of each run."""


class Toleration(SettingsModel):
    """A taint that pods of a pool accept."""

    key: str | None = None
    """Key of the taint; absent means every key."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """How the value is compared."""
    value: str | None = None
    """Value of the taint, for Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; absent means every effect."""


class Pool(SettingsModel):
    """A kind of node that training runs on."""

    name: str = Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=48)
    """What users write into compute.pool."""
    profile: str | None = None
    """A built-in profile that fills what is absent here, such as aks-a100-80gb or cpu."""
    resource: str | None = None
    """Extended resource of a GPU, such as nvidia.com/gpu; absent for CPUs."""
    gpus: int = Field(default=0, ge=0, le=64)
    """GPUs of one node; more are refused before anything is created."""
    gpu_memory: Memory | None = None
    """Memory of one GPU; runs that cannot fit are stopped before training."""
    node_labels: Mapping[str, tuple[str, ...]] = Field(default={})
    """Labels that a node must have, with the values that are accepted."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints that the pods accept."""
    cpus: Cores = 8
    """Cores of a training pod; scaled down when a run takes fewer GPUs than the node has."""
    memory: Memory = "64Gi"
    """Main memory of a training pod; scaled likewise."""
    shared_memory: Memory = "16Gi"
    """Size of /dev/shm, which NCCL and data loaders use; it counts as memory."""
    image: Image | None = None
    """Another image for this pool; absent takes the trainer's."""
    environment: Mapping[str, str] = Field(default={})
    """Variables of training pods, such as NCCL_SOCKET_IFNAME."""
    runtime_class: str | None = None
    """RuntimeClass of the pods, such as nvidia."""

    @model_validator(mode="before")
    @classmethod
    def _from_profile(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or value.get("profile") is None:
            return value
        name = value["profile"]
        if name not in PROFILES:
            raise ValueError(f"{name!r} is no profile; there are: {', '.join(sorted(PROFILES))}")
        return {**PROFILES[name], **value}

    @model_validator(mode="after")
    def _gpus_have_a_resource(self) -> Self:
        if self.gpus and not self.resource:
            raise ValueError("gpus is above 0, so resource must name what a GPU is requested as")
        return self


class StageResources(SettingsModel):
    """What the pod of a stage asks for, where a run says nothing else."""

    cpus: Cores
    """Cores requested; there is no limit, so that idle cores are used."""
    memory: Memory
    """Main memory, requested and the limit."""
    gpus: int = Field(default=0, ge=0, le=64)
    """GPUs of the run's pool; on a pool without any, none."""


def _stages() -> dict[StageName, StageResources]:
    return {
        StageName.FETCH: StageResources(cpus=1, memory="4Gi"),
        StageName.FILTER: StageResources(cpus=2, memory="4Gi"),
        StageName.PREPARE: StageResources(cpus=2, memory="8Gi"),
        StageName.PROBE: StageResources(cpus=4, memory="32Gi", gpus=1),
        StageName.EVALUATE: StageResources(cpus=4, memory="32Gi", gpus=1),
        StageName.REPORT: StageResources(cpus=1, memory="2Gi"),
    }


class Security(SettingsModel):
    """Identity of stage pods; everything else follows Pod Security `restricted`."""

    user: int = Field(default=65532, ge=1)
    """User id of every process."""
    group: int = Field(default=65532, ge=1)
    """Group id; volumes are made writable for it."""
    network_policies: bool = True
    """Whether each run gets a NetworkPolicy."""
    blocked_addresses: tuple[str, ...] = ("169.254.0.0/16",)
    """Networks that even fetch may not reach, such as the cloud's metadata service."""


class Fetching(SettingsModel):
    """How the fetch stage reaches the world; users cannot redirect it."""

    hub_endpoint: str | None = None
    """Address of a Hugging Face compatible hub; absent takes the public one."""
    environment: Mapping[str, str] = Field(default={})
    """Variables of fetch pods, such as HTTPS_PROXY."""


class Retries(SettingsModel):
    """How long is waited between attempts of a stage."""

    first_seconds: Seconds = 10
    """Before the second attempt; doubled each time."""
    longest_seconds: Seconds = 600
    """Never longer than this."""


class Cleaning(SettingsModel):
    """What is removed, and when."""

    force_delete_seconds: Seconds = 60
    """Grace of a pod that hangs in Terminating because its node is gone; removed by force then,
    and only if its node is not ready or away."""
    unreachable_seconds: Seconds = 60
    """Seconds that pods stay on a node that does not answer."""


class Engine(SettingsModel):
    """The loop itself."""

    workers: int = Field(default=32, ge=1, le=256)
    """Runs worked on at once."""
    resync_seconds: Seconds = 300
    """Every run is looked at again at least this often."""
    progress_seconds: Seconds = 10
    """How often the log of a working stage is read."""
    request_seconds: Seconds = 30
    """Timeout of every request to the API server."""


class Election(SettingsModel):
    """The Lease that lets one replica work while others wait."""

    enabled: bool = True
    """False is for a single process outside a cluster."""
    name: str = "uncensor-operator"
    """Name of the Lease."""
    lease_seconds: Seconds = 15
    """Others take over when the leader has not renewed for so long."""
    renew_seconds: Seconds = 10
    """The leader gives up when it could not renew for so long."""
    retry_seconds: Seconds = 2
    """Pause between two tries."""


class Settings(SettingsModel):
    """Everything that the administrator decides."""

    trainer_image: Image
    """Image of every stage."""
    pools: tuple[Pool, ...] = Field(min_length=1)
    """Kinds of node."""
    default_pool: str | None = None
    """Pool of runs that name none; absent takes the first."""
    stages: Mapping[StageName, StageResources] = Field(default={})
    """Resources of stages that differ from the built-in ones; training takes them from its pool."""
    namespaces: tuple[str, ...] = ()
    """Namespaces to watch; empty means all."""
    security: Security = Security()
    """Identity and network of pods."""
    fetching: Fetching = Fetching()
    """How models and data are reached."""
    retries: Retries = Retries()
    """Waits between attempts."""
    cleaning: Cleaning = Cleaning()
    """Removal of what hangs."""
    engine: Engine = Engine()
    """The loop itself."""
    election: Election = Election()
    """One replica works at a time."""
    priority_class: str | None = None
    """PriorityClass of every pod."""
    http_port: int = Field(default=8080, ge=1, le=65535)
    """Port of /metrics, /healthz and /readyz."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [pool.name for pool in self.pools]
        if len(names) != len(set(names)):
            raise ValueError("two pools have the same name")
        if self.default_pool is not None and self.default_pool not in names:
            raise ValueError(
                f"defaultPool is {self.default_pool!r}, but the pools are: {', '.join(names)}"
            )
        return self

    def pool(self, name: str | None) -> Pool | None:
        """Return the pool of this name, the default one for None, or None when unknown."""
        wanted = name or self.default_pool or self.pools[0].name
        return next((pool for pool in self.pools if pool.name == wanted), None)

    def stage(self, name: StageName) -> StageResources:
        """Return the resources of a stage that is no training."""
        return self.stages.get(name) or _stages()[name]


def read_settings(path: Path | None = None) -> Settings:
    """Read the settings file.

    Raises:
        UncensorError: it is missing, not YAML, or says something wrong; the field is named.
    """
    path = path or Path(os.environ.get(VARIABLE, DEFAULT_PATH))
    try:
        text = path.read_text(encoding="utf-8")
        value = yaml.safe_load(text)
        return Settings.model_validate(value)
    except OSError as error:
        raise UncensorError(f"The settings {path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise UncensorError(f"The settings {path} are not YAML: {error}.") from error
    except ValidationError as error:
        raise UncensorError(_sentence(path, error)) from error


def _sentence(path: Path, error: ValidationError) -> str:
    lines = []
    for one in error.errors(include_url=False, include_context=False):
        where = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in one["loc"]))
        lines.append(f"  {where or 'the whole'}: {one['msg'].removeprefix('Value error, ')}")
    return "\n".join([f"The settings {path} are at fault:", *lines])


def gpu_bytes(pool: Pool) -> int:
    """Return the memory of one GPU of a pool in bytes; 0 when it has none or does not say."""
    return quantity_bytes(pool.gpu_memory) if pool.gpu_memory else 0
