"""How well a step used the machine: model FLOPs utilisation, the parts of its time, memory.

MFU is the arithmetic that the model needs over what the device could do in the same time. What is
computed again (gradient checkpointing) and padding do not count as useful. The formula is the one
of PaLM (arXiv 2204.02311, appendix B): 6 operations a parameter and token, and 12 a layer, unit of
width, token and token attended to.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

# Dense bf16 operations a second, from NVIDIA's data sheets; the first name that fits counts.
PEAKS = (
    ("H100 PCIe", 756e12),
    ("H100", 989e12),
    ("H200", 989e12),
    ("H800", 989e12),
    ("GH200", 989e12),
    ("B200", 2250e12),
    ("A100", 312e12),
    ("A800", 312e12),
    ("L40S", 362e12),
    ("A10G", 70e12),
    ("L4", 121e12),
    ("RTX 4090", 165e12),
)


def peak_flops(device: str) -> float | None:
    """Return the peak of a device by its name in dense bf16; None where we do not know it."""
    return next((flops for name, flops in PEAKS if name in device), None)


def device_peak() -> float | None:
    """Return the peak of this process's GPU; None without one, as CPUs publish none."""
    if not torch.cuda.is_available():
        return None
    return peak_flops(torch.cuda.get_device_name())


@dataclass(frozen=True, slots=True)
class Work:
    """The arithmetic of a model.

    Attributes:
        parameters: those that multiply: all but the input embeddings.
        layers: depth.
        hidden: width.
    """

    parameters: int
    layers: int
    hidden: int

    def flops(self, lengths: npt.NDArray[np.int64]) -> float:
        """Return the operations of forward and backward of rows, int64 [rows]."""
        tokens, squares = float(lengths.sum()), float((lengths.astype(np.float64) ** 2).sum())
        return 6.0 * self.parameters * tokens + 12.0 * self.layers * self.hidden * squares


@dataclass(slots=True)
class StepTimes:
    """Seconds of the parts of the steps since the last look.

    With DeepSpeed, `compute` holds communication and the optimizer as well, because they overlap
    with the backward pass; what waiting for other processes took is told apart, and stays in
    `compute`. On a GPU a part ends when its work is queued, so that only the sum is exact.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the seconds inside."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - began)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def taken(self) -> dict[str, float]:
        """Return the parts, and begin again."""
        found = {f"{name}_seconds": round(value, 4) for name, value in self.seconds.items()}
        self.seconds.clear()
        return found


def peak_memory() -> int:
    """Return the most bytes that this process has had: of the GPU, or resident without one."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
