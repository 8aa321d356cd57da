"""Which attention kernel runs, and whether rows are packed into one sequence for it.

Packing needs a kernel that keeps rows apart without work on what lies between them. torch's own
attention gets a mask of tokens x tokens instead: as exact, but slower than padding (on a CPU four
rows of 512 tokens took 3.3 times as long packed, facts-training.md 2.3).
"""

from __future__ import annotations

from dataclasses import dataclass

from transformers.utils import is_flash_attn_2_available

from uncensor_trainer.runfile import TrainingSettings


@dataclass(frozen=True, slots=True)
class Attention:
    """The choice.

    Attributes:
        packed: rows are packed.
        kernel: transformers' name of the implementation; None leaves the choice to the model.
    """

    packed: bool
    kernel: str | None

    @property
    def sentence(self) -> str:
        """What was chosen, for the log."""
        where = "packed into one sequence" if self.packed else "in padded groups of like length"
        return f"Rows go through the model {where} ({self.kernel or 'the default attention'})."


def choose_attention(training: TrainingSettings, *, gpu: bool) -> Attention:
    """Return the kernel for this training; `packing: auto` packs where FlashAttention is."""
    flash = gpu and training.precision != "fp32" and is_flash_attn_2_available()
    packed = training.packing == "on" or (training.packing == "auto" and flash)
    if flash:
        return Attention(packed, "flash_attention_2")
    # Flex attention skips the blocks between rows; it has a backward pass on GPUs only.
    return Attention(packed, "flex_attention" if packed and gpu else None)
