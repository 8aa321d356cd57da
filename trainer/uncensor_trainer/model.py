"""The model that is trained: loading it, laying adapters on it, and measuring it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from uncensor_trainer.efficiency import Work
from uncensor_trainer.engine import Engine
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.guards import Footprint
from uncensor_trainer.memory import Load
from uncensor_trainer.runfile import TrainingSettings


def load_model(
    folder: Path, training: TrainingSettings, dtype: torch.dtype, kernel: str | None = None
) -> Any:
    """Return the base model, with trainable adapters on it when the method is lora.

    `kernel` names an attention implementation of transformers.

    Raises:
        InvalidInput: the folder holds no such model, or it has none of the target modules.
    """
    model = load_base(folder, dtype, kernel)
    # The library refuses to save sampling settings of a model that does not sample; some base
    # models (Llama 2) are published that way.
    try:
        model.generation_config.validate(strict=True)
    except ValueError:
        model.generation_config.do_sample = True
    return model if training.method == "full" else _with_adapters(model, training)


def load_config(folder: Path) -> Any:
    """Return transformers' configuration of the model in a folder.

    Raises:
        InvalidInput: there is none, or of a kind that is not known.
    """
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"The model in {folder} cannot be loaded: {error}") from error


def narrow_stream(model: Any, dtype: torch.dtype) -> None:
    """Let hidden values pass from layer to layer in the type of the computation.

    With float32 weights the embeddings would make them float32 from layer to layer, twice as much
    to move; DeepSpeed's weights make them narrow by themselves.
    """
    model.get_input_embeddings().register_forward_hook(lambda _, __, found: found.to(dtype))


def load_base(folder: Path, dtype: torch.dtype, kernel: str | None = None) -> Any:
    """Return a model from safetensors; attention is torch's own where the architecture has it."""
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation=kernel,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InvalidInput(f"The model in {folder} cannot be loaded: {error}") from error


def _with_adapters(model: Any, training: TrainingSettings) -> Any:
    lora, targets = training.lora, training.lora.target_modules
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )
    try:
        with warnings.catch_warnings():
            # peft asks transformers for things under their old names.
            warnings.simplefilter("ignore", FutureWarning)
            return get_peft_model(model, config)
    except ValueError as error:
        raise InvalidInput(
            f"training.lora does not fit this model: {error} Name modules that it has, or use "
            "all-linear."
        ) from error


def footprint(model: Any, engine: Engine, *, longest: int) -> Footprint:
    """Return what decides the memory and disk of this training; `longest` is a row's tokens."""
    config = model.config
    return Footprint(
        parameters=num_parameters(model),
        trainable=num_parameters(model, trainable_only=True),
        processes=engine.split.processes,
        deepspeed=engine.deepspeed is not None,
        micro_batch=engine.split.micro_batch,
        longest=longest,
        vocabulary=config.vocab_size,
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
    )


def load_of(model: Any, engine: Engine, *, tokens: int) -> Load:
    """Return what decides the memory of this training; `tokens` are those of the fullest pass."""
    config = model.config.get_text_config()
    return Load(
        parameters=num_parameters(model),
        trainable=num_parameters(model, trainable_only=True),
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        vocabulary=config.vocab_size,
        tokens=tokens,
        processes=engine.split.processes,
        deepspeed=engine.deepspeed is not None,
        gpu=engine.gpu,
    )


def work_of(model: Any) -> Work:
    """Return the arithmetic of a model; tied embeddings count once, as the output layer."""
    config = model.config.get_text_config()
    embeddings = 0
    if not config.tie_word_embeddings:
        embeddings = config.vocab_size * config.hidden_size
    parameters = num_parameters(model) - embeddings
    return Work(parameters, config.num_hidden_layers, config.hidden_size)


def num_parameters(model: Any, *, trainable_only: bool = False) -> int:
    """Return the parameters of the whole model, also where ZeRO-3 left a part of each here."""
    return sum(
        int(getattr(parameter, "ds_numel", parameter.numel()))
        for parameter in model.parameters()
        if parameter.requires_grad or not trainable_only
    )
