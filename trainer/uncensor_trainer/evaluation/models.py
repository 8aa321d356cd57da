"""Opens the model of an arm, on the device and in the precision that it is measured in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from uncensor_trainer.data.templates import Template, template_for
from uncensor_trainer.exits import InvalidInput, as_stage_error


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model ready to be asked.

    Attributes:
        model: a causal language model of transformers, in evaluation mode.
        tokenizer: its own tokenizer.
        template: how questions are written for it, the same as in training.
        end_tokens: ids after which an answer is over.
        context: tokens of question and answer together; None when the model names no limit.
    """

    model: Any
    tokenizer: Any
    template: Template
    end_tokens: frozenset[int]
    context: int | None

    @property
    def device(self) -> torch.device:
        """Where the inputs go."""
        device: torch.device = self.model.device
        return device


def precision() -> str:
    """Return the number format that models are measured in.

    On a CPU float32, although bfloat16 takes 0.6 of the time on one that has it: of 24 answers of
    SmolLM2-135M, 10 changed with the batch size in bfloat16 and none in float32.
    """
    return "bf16" if torch.cuda.is_available() else "fp32"


def open_model(folder: Path, template: str) -> OpenModel:
    """Load a model folder from the disk, never from a hub and never with code of its own.

    Raises:
        InvalidInput: a file is missing or damaged, or weights are missing in it.
    """
    # Standard error belongs to sentences for people; a bar a shard is noise in a pod's log.
    logging.disable_progress_bar()
    dtype = torch.bfloat16 if precision() == "bf16" else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, loading = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if as_stage_error(error) is not None:
            raise
        raise InvalidInput(f"The model {folder} cannot be loaded: {error}") from error
    if loading["missing_keys"]:
        # transformers fills them with random numbers and goes on.
        names = ", ".join(sorted(loading["missing_keys"])[:3])
        raise InvalidInput(f"The model {folder} is not complete: it has no weights for {names}.")
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    return OpenModel(
        model=model,
        tokenizer=tokenizer,
        template=template_for(template, tokenizer),
        end_tokens=_end_tokens(model, tokenizer),
        context=getattr(model.config, "max_position_embeddings", None),
    )


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Chat models end a turn with a token of its own, which only generation_config names."""
    named = model.generation_config.eos_token_id
    listed = named if isinstance(named, list) else [named]
    return frozenset(token for token in [tokenizer.eos_token_id, *listed] if token is not None)
