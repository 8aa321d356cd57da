"""The finished model as a folder that any reader of transformers models can load.

Weights go to the disk shard by shard, also where processes hold parts of them or an adapter is
merged; nobody holds the model whole. (The main process does where an architecture's files name
tensors otherwise than its code does, or an adapter is more than a product to add.) Nothing is
exported on trust: every tensor is looked at, and names and shapes are compared with those that the
configuration asks for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.conversion_mapping import get_checkpoint_conversion_mapping
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from uncensor_trainer import dist
from uncensor_trainer.collectives import from_main
from uncensor_trainer.exits import NumericFailure, WorkspaceFailure
from uncensor_trainer.loop import Loop
from uncensor_trainer.model import load_base, num_parameters
from uncensor_trainer.runfile import TrainingSettings
from uncensor_trainer.shards import SHARD_BYTES, MergeRefused, gathered, merged, write_shards

ADAPTER = "adapter"
SHARDED = 3  # the ZeRO stage that leaves no process with a whole weight
READABLE_FILE, READABLE_FOLDER = 0o644, 0o755


def export_model(loop: Loop, training: TrainingSettings, base: Path, out: Path) -> int:
    """Write model, configuration and tokenizer into `out`; return the number of parameters.

    Full training writes its weights; lora writes `out/adapter` and the merged model. All
    processes take part where weights are sharded; the main one writes.

    Raises:
        WorkspaceFailure, NumericFailure: what was written is not a whole, finite model.
    """
    lora = training.method == "lora"
    parameters = num_parameters(loop.model)
    if lora:
        parameters -= num_parameters(loop.model, trainable_only=True)
    weight_type = next(loop.model.parameters()).dtype
    sharded = loop.is_deepspeed_enabled and loop.deepspeed.zero_optimization_stage() == SHARDED
    if sharded and not lora and not _renames(loop.model):
        failure = _write_gathered(loop.model, out)
        unset_hf_deepspeed_config()
        from_main(lambda: _finish(base, out, parameters, failure))
        return parameters
    whole = _consolidated(loop, adapter_only=lora) if sharded else None
    # While ZeRO-3 is announced, every model that is loaded here would be sharded too.
    unset_hf_deepspeed_config()

    def write() -> None:
        if lora:
            loop.model.save_pretrained(out / ADAPTER, state_dict=whole)
            _save_merged(loop.model, base, out, weight_type)
        else:
            _save(loop.model, out, whole)
        _finish(base, out, parameters)

    from_main(write)
    return parameters


def _renames(model: Any) -> bool:
    """Tell whether this architecture's files name tensors otherwise than its code does."""
    return bool(get_checkpoint_conversion_mapping(model.config.model_type))


def _write_gathered(model: Any, out: Path) -> Exception | None:
    """Write a sharded model; every process gathers, the main one writes.

    Returns:
        What went wrong while writing: the others must not be left waiting in the middle.
    """
    tensors, failure = gathered(model), None
    if dist.is_main():
        try:
            write_shards(out, tensors)
            _save_config(model, out)
        except Exception as error:  # noqa: BLE001 - raised again once all processes are here
            failure = error
    for _ in tensors:
        continue
    return failure


def _consolidated(loop: Loop, *, adapter_only: bool) -> dict[str, torch.Tensor] | None:
    """Return whole weights, or the adapter's alone, on the main process."""
    state: dict[str, torch.Tensor] | None = loop.deepspeed._zero3_consolidated_16bit_state_dict(
        exclude_frozen_parameters=adapter_only
    )
    return state if dist.is_main() else None


def _save(model: Any, out: Path, state: dict[str, torch.Tensor] | None) -> None:
    _allow_cache(model)
    model.save_pretrained(out, state_dict=state, max_shard_size=SHARD_BYTES)


def _allow_cache(model: Any) -> None:
    # Training switches the cache off; a generating reader of this configuration needs it.
    model.config.use_cache = True


def _save_config(model: Any, out: Path) -> None:
    """Write what `save_pretrained` writes beside the weights."""
    _allow_cache(model)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = next(model.parameters()).dtype
    model.config.save_pretrained(out)
    model.generation_config.save_pretrained(out)


def _save_merged(model: Any, base: Path, out: Path, dtype: torch.dtype) -> None:
    """Merge the adapter as it lies on the disk, so that both exports agree."""
    lora, names = model.peft_config["default"], dict(model.get_base_model().named_parameters())
    needed = {name.replace(".base_layer.", ".") for name in names if ".lora_" not in name}
    try:
        write_shards(out, merged(base, out / ADAPTER, lora.lora_alpha / lora.r, dtype, needed))
    except MergeRefused:
        whole = PeftModel.from_pretrained(load_base(base, dtype), out / ADAPTER)
        _save(whole.merge_and_unload(), out, None)
    else:
        _save_config(model.get_base_model(), out)


def _finish(base: Path, out: Path, parameters: int, failure: Exception | None = None) -> None:
    if failure is not None:
        raise failure
    AutoTokenizer.from_pretrained(base, local_files_only=True).save_pretrained(out)
    _make_readable(out)
    verify(out, parameters)


def _make_readable(folder: Path) -> None:
    """Weights are written for their owner only; the pod that evaluates may be another user."""
    for path in folder.rglob("*"):
        path.chmod(READABLE_FOLDER if path.is_dir() else READABLE_FILE)


def verify(folder: Path, parameters: int) -> None:
    """Compare what was written with what the configuration asks for; nothing is loaded whole.

    Raises:
        WorkspaceFailure: a tensor is missing, empty or of another shape.
        NumericFailure: a number is not finite.
    """
    found: dict[str, tuple[int, ...]] = {}
    for shard in sorted(folder.glob("*.safetensors")):
        with safe_open(shard, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a dict
                tensor = tensors.get_tensor(name)
                _refuse_bad_tensor(name, tensor)
                found[name] = tuple(tensor.shape)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(folder, local_files_only=True)
        )
    if _renames(model):
        faults = _loading_faults(folder)
    else:
        faults = _shape_faults(
            {name: tuple(p.shape) for name, p in model.named_parameters()}, found
        )
    wanted = num_parameters(model)
    if faults or wanted != parameters:
        raise WorkspaceFailure(
            f"The exported model in {folder} is not complete: {', '.join(faults)} {wanted} "
            f"parameters, wanted {parameters}. Run the same command again: only the export is "
            "repeated."
        )


def _shape_faults(
    wanted: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]
) -> list[str]:
    """Name what is missing or has another shape; tied weights are wanted once."""
    return [
        f"{name} has the shape {found[name]}, wanted {shape}" if name in found else f"no {name}"
        for name, shape in wanted.items()
        if found.get(name) != shape
    ]


def _loading_faults(folder: Path) -> list[str]:
    _, report = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", local_files_only=True, output_loading_info=True
    )
    return [f"{kind}: {sorted(map(str, names))}" for kind, names in report.items() if names]


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
