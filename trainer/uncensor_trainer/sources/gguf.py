"""A GGUF file as a plain model folder: safetensors, configuration, tokenizer, chat template.

The weights are kept as float32. Dequantised Q4_1 values are `scale * q + minimum`, and only 18 % of
the values of SmolLM2-135M survive bfloat16 unchanged (logits move by 0.11), so float32 (538 MB
instead of 269 MB) keeps the baseline what its authors shipped; `training.precision` decides later.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from uncensor_trainer.exits import InvalidInput, as_stage_error
from uncensor_trainer.sources.checks import refuse_full_disk

_BYTES_OF_FLOAT32 = 4
_TOLD_CHARACTERS = 200


def convert(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file into a folder, exact to the last bit in float32.

    Raises:
        InvalidInput: the file is broken, or of an architecture that transformers cannot read.
        WorkspaceFailure: the disk has no room for the float32 weights.
    """
    with _quiet():
        model, tokenizer = _loaded(gguf)
        _forget_quantisation(model)
        # The library would tell a full disk with an error of its own, after minutes of writing.
        refuse_full_disk(folder, model.num_parameters() * _BYTES_OF_FLOAT32, gguf.name)
        model.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _loaded(gguf: Path) -> tuple[Any, Any]:
    # local_files_only does what HF_HUB_OFFLINE does, without changing the whole process.
    where: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            gguf.parent, dtype=torch.float32, output_loading_info=True, **where
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **where)
    except Exception as error:
        if as_stage_error(error) is not None:
            raise
        # A broken file meets the parsers of three libraries, each with errors of its own.
        told = str(error).strip().partition("\n")[0][:_TOLD_CHARACTERS]
        raise InvalidInput(
            f"{gguf} cannot be converted to safetensors: {type(error).__name__}: {told} Choose the "
            "original model."
        ) from error
    _refuse_missing(gguf, loading["missing_keys"])
    return model, tokenizer


def _refuse_missing(gguf: Path, missing: Collection[str]) -> None:
    """Let whole models pass; the loader only warns, and fills what is missing at random."""
    if missing:
        raise InvalidInput(
            f"{gguf} lacks {len(missing)} of the model's weights, {min(missing)} first; it is "
            "damaged, or of a kind that transformers does not read. Choose the original model."
        )


def _forget_quantisation(model: Any) -> None:
    """Remove the record of GGUF; save_pretrained refuses ("not serializable") while it is there."""
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        if name in vars(model):
            delattr(model, name)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back warnings, which we raise, and progress bars; the GGUF reader's has no switch."""
    is_bar_shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if is_bar_shown:
            logging.enable_progress_bar()
