"""Which attention kernel runs, and whether rows are packed into one sequence for it.

Packing needs a kernel that keeps rows apart without work on what lies between them. torch has one
on GPUs (`varlen.py`), the flash-attn package another. torch's ordinary attention gets a mask of
tokens x tokens instead: as exact, but slower than padding (on a CPU four rows of 512 tokens took
3.3 times as long packed, facts-training.md 2.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers.utils import is_flash_attn_2_available

from uncensor_trainer import varlen
from uncensor_trainer.runfile import TrainingSettings


@dataclass(frozen=True, slots=True)
class Attention:
    """The choice.

    Attributes:
        packed: rows are packed.
        kernel: transformers' name of the implementation; None leaves the choice to the model.
        why_not: what keeps torch's kernel for packed rows from being used, where that matters.
    """

    packed: bool
    kernel: str | None
    why_not: str | None = None

    @property
    def told_borders(self) -> bool:
        """Whether the kernel wants to be told where the rows of a pass begin."""
        return self.kernel == varlen.NAME

    @property
    def sentence(self) -> str:
        """What was chosen, for the log."""
        where = "packed into one sequence" if self.packed else "in padded groups of like length"
        chosen = f"Rows go through the model {where} ({self.kernel or 'the default attention'})"
        return f"{chosen}: {self.why_not}." if self.why_not else f"{chosen}."


def choose_attention(training: TrainingSettings, config: Any, *, gpu: bool) -> Attention:
    """Return the kernel for this training; `packing: auto` packs where one keeps rows apart.

    Args:
        training: the settings.
        config: transformers' configuration of the model.
        gpu: whether there is a GPU.
    """
    if training.packing == "off" or not gpu:
        return Attention(training.packing == "on", None)
    why_not = varlen.obstacle(config, training.precision)
    if why_not is None:
        return Attention(True, varlen.register())
    if training.precision != "fp32" and is_flash_attn_2_available():
        return Attention(True, "flash_attention_2", why_not)
    # Flex attention skips the blocks between rows; it has a backward pass on GPUs only.
    on = training.packing == "on"
    return Attention(on, "flex_attention" if on else None, why_not)
