"""The model that is trained: loading it, laying adapters on it, and writing it for others.

Without DeepSpeed the weights are float32 whatever the precision (autocast computes in bf16), so
nothing of an update is lost; with DeepSpeed the working weights have the precision of the run
and DeepSpeed keeps the float32 copy. A model is exported in the type of its weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from uncensor_trainer.exits import InvalidInput, NumericFailure, WorkspaceFailure
from uncensor_trainer.guards import Footprint
from uncensor_trainer.runfile import TrainingSettings

ADAPTER = "adapter"
_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def weight_type(training: TrainingSettings, *, deepspeed: bool) -> torch.dtype:
    """Return the type that the weights have in memory and in the exported model."""
    return _PRECISIONS[training.precision] if deepspeed else torch.float32


def load_model(folder: Path, training: TrainingSettings, dtype: torch.dtype) -> Any:
    """Return the base model, with trainable adapters on it when the method is lora.

    Raises:
        InvalidInput: the folder holds no such model, or it has none of the target modules.
    """
    model = load_base(folder, dtype)
    # The library refuses to save sampling settings of a model that does not sample; some base
    # models (Llama 2) are published that way.
    try:
        model.generation_config.validate(strict=True)
    except ValueError:
        model.generation_config.do_sample = True
    return model if training.method == "full" else _with_adapters(model, training)


def load_base(folder: Path, dtype: torch.dtype) -> Any:
    """Return a model from safetensors; attention is torch's own where the architecture has it."""
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
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
        return get_peft_model(model, config)
    except ValueError as error:
        raise InvalidInput(
            f"training.lora does not fit this model: {error} Name modules that it has, or use "
            "all-linear."
        ) from error


def footprint(
    model: Any, *, processes: int, deepspeed: bool, micro_batch: int, longest: int
) -> Footprint:
    """Return what decides the memory and disk of this training."""
    config = model.config
    return Footprint(
        parameters=num_parameters(model),
        trainable=num_parameters(model, trainable_only=True),
        processes=processes,
        deepspeed=deepspeed,
        micro_batch=micro_batch,
        longest=longest,
        vocabulary=config.vocab_size,
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
    )


def num_parameters(model: Any, *, trainable_only: bool = False) -> int:
    """Return the parameters of the whole model, also where ZeRO-3 left a part of each here."""
    return sum(
        int(getattr(parameter, "ds_numel", parameter.numel()))
        for parameter in model.parameters()
        if parameter.requires_grad or not trainable_only
    )


def save_full(model: Any, base: Path, out: Path, state: dict[str, torch.Tensor] | None) -> None:
    """Write weights, configuration, generation configuration and tokenizer.

    `state` holds the gathered weights where the model itself holds a part of them.
    """
    # Training switches the cache off; a generating reader of this configuration needs it.
    model.config.use_cache = True
    model.save_pretrained(out, state_dict=state)
    AutoTokenizer.from_pretrained(base, local_files_only=True).save_pretrained(out)


def save_adapter(model: Any, out: Path, state: dict[str, torch.Tensor] | None) -> Path:
    """Write the adapter beside where the merged model goes; return its folder."""
    folder = out / ADAPTER
    model.save_pretrained(folder, state_dict=state)
    return folder


def save_merged(base: Path, adapter: Path, out: Path, dtype: torch.dtype) -> None:
    """Write the model with the saved adapter merged into its weights."""
    merged = PeftModel.from_pretrained(load_base(base, dtype), adapter).merge_and_unload()
    save_full(merged, base, out, None)


def verify_export(folder: Path, parameters: int) -> None:
    """Read the exported model back, as anyone else would.

    Raises:
        WorkspaceFailure: a tensor is empty, absent or of a wrong shape.
        NumericFailure: a weight is not a finite number.
    """
    for shard in sorted(folder.glob("*.safetensors")):
        with safe_open(shard, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a dict
                _refuse_bad_tensor(name, tensors.get_tensor(name))
    model, report = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", local_files_only=True, output_loading_info=True
    )
    faults = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
    found = num_parameters(model)
    if faults or found != parameters:
        raise WorkspaceFailure(
            f"The exported model in {folder} is not complete: {faults or ''} {found} parameters, "
            f"wanted {parameters}. Run the same command again: only the export is repeated."
        )


def _refuse_bad_tensor(name: str, tensor: torch.Tensor) -> None:
    if tensor.numel() == 0:
        raise WorkspaceFailure(
            f"{name} was exported empty. Run the same command again: only the export is repeated."
        )
    if not torch.isfinite(tensor).all():
        raise NumericFailure(
            f"{name} of the trained model holds numbers that are not finite. Lower "
            "training.learningRate, or use precision bf16 or fp32, and train again."
        )
