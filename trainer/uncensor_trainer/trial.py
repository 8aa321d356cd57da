"""The trial: the fullest micro-batch once, before the first step, so that memory runs out now.

Its loss counts nothing: gradients of exactly zero are added to those of the first step, which are
the same to the last bit. Random state is put back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from uncensor_trainer.data.batches import dealt, neighbours
from uncensor_trainer.data.layout import Layout
from uncensor_trainer.efficiency import peak_memory
from uncensor_trainer.engine import Split
from uncensor_trainer.memory import shown

# On a CPU a pass takes as long as it takes, so it is tried only where memory may be short.
SHARE_OF_FREE_MEMORY = 0.5


@dataclass(frozen=True, slots=True)
class Trial:
    """What came out.

    Attributes:
        tokens: of the pass, padding included.
        seconds: forward and backward.
        peak: bytes, of the GPU's memory or of the whole process.
    """

    tokens: int
    seconds: float
    peak: int

    @property
    def sentence(self) -> str:
        """The result for people."""
        return (
            f"A trial with the fullest pass ({self.tokens} tokens) took {self.seconds:.1f} s and "
            f"{shown(self.peak)} at its peak."
        )


def is_due(estimate: int, free: int, *, gpu: bool) -> bool:
    """Tell whether the trial is worth its time: always on a GPU, where it takes a moment."""
    return gpu or estimate > SHARE_OF_FREE_MEMORY * free


def fullest(layout: Layout, split: Split, step_lengths: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Return (step, micro-batch) with the most tokens; the same for all processes.

    Args:
        layout: how rows go through the model.
        split: how a global batch is divided.
        step_lengths: tokens of each row of each step, ascending in a step, int64 [steps, rows].
    """
    lengths = step_lengths[:, dealt(split) if layout.packed else neighbours(split)]
    tokens = lengths.sum(axis=2) if layout.packed else lengths.max(axis=2)
    step, batch = np.unravel_index(int(tokens.argmax()), tokens.shape)
    return int(step), int(batch) // split.processes


class Stopwatch:
    """Times one pass."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def trial(self, tokens: int) -> Trial:
        """Return the result now."""
        return Trial(tokens, time.monotonic() - self._began, peak_memory())
