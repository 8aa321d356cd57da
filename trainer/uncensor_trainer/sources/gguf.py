"""A GGUF file as a plain model folder: safetensors, configuration, tokenizer, chat template.

The weights are kept as float32. Dequantised Q4_1 values are `scale * q + minimum`, and only 18 % of
the values of SmolLM2-135M survive bfloat16 unchanged (logits move by 0.11), so float32 (538 MB
instead of 269 MB) keeps the baseline what its authors shipped; `training.precision` decides later.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from uncensor_trainer.exits import InvalidInput


def convert(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file into a folder, exact to the last bit in float32.

    Raises:
        InvalidInput: the file is broken, or of an architecture that transformers cannot read.
    """
    with _quiet():
        model, tokenizer = _loaded(gguf)
        _forget_quantisation(model)
        model.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _loaded(gguf: Path) -> tuple[Any, Any]:
    # local_files_only does what HF_HUB_OFFLINE does, without changing the whole process.
    where: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    try:
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **where)
        return model, AutoTokenizer.from_pretrained(gguf.parent, **where)
    except (ValueError, LookupError, NotImplementedError, struct.error) as error:
        raise InvalidInput(
            f"{gguf} cannot be converted to safetensors: {error} Choose the original model."
        ) from error


def _forget_quantisation(model: Any) -> None:
    """Remove the record of GGUF; save_pretrained refuses ("not serializable") while it is there."""
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        if name in vars(model):
            delattr(model, name)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back progress bars: the GGUF reader's has no switch and writes to stderr."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        if shown:
            logging.enable_progress_bar()
