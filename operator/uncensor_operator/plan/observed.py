"""What a plan is made from, besides the manifest: facts that somebody else has gathered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine (or the pool's node) that trains.

    Attributes:
        cores: physical or virtual CPU cores.
        memory_bytes: free main memory.
        disk_bytes: free space where the workspace lies.
        gpus: accelerators.
        gpu_memory_bytes: memory of one of them; 0 without any.
    """

    cores: int
    memory_bytes: int
    disk_bytes: int
    gpus: int = 0
    gpu_memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Shape of the base model, from its configuration or its file headers.

    Attributes:
        parameters: numbers in all weights.
        hidden_size: width of the residual stream.
        layers: transformer blocks.
        vocabulary: entries of the output layer.
    """

    parameters: int
    hidden_size: int
    layers: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class DataFacts:
    """Size of the data sets that lie on this machine.

    Attributes:
        size_bytes: of all their files.
        rows: counted by an earlier filter stage; None when it has not run yet.
        tokens: counted by an earlier prepare stage, of the filtered arm; None likewise.
        longest: tokens of the longest row, counted likewise.
    """

    size_bytes: int
    rows: int | None = None
    tokens: int | None = None
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that was looked up before planning.

    Attributes:
        machine: what there is to run on.
        fingerprints: content of sources on this machine, by role; see `pipeline`.
        done: digest of each complete stage output, by stage name.
        model: None when the model is not here yet.
        data: None when no data set is here yet.
        tokens_per_second: of an earlier training of this run; None without one.
    """

    machine: Machine
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    done: Mapping[str, str] = field(default_factory=dict)
    model: ModelFacts | None = None
    data: DataFacts | None = None
    tokens_per_second: float | None = None
