"""The finished model as a folder that any reader of transformers models can load.

Nothing is exported on trust: every tensor is looked at, and the folder is loaded once more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from uncensor_trainer import dist
from uncensor_trainer.collectives import from_main
from uncensor_trainer.exits import NumericFailure, WorkspaceFailure
from uncensor_trainer.loop import Loop
from uncensor_trainer.model import load_base, num_parameters
from uncensor_trainer.runfile import TrainingSettings

ADAPTER = "adapter"
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
    gathered = _gathered(loop, adapter_only=lora)
    # While ZeRO-3 is announced, every model that is loaded here would be sharded too.
    unset_hf_deepspeed_config()

    def write() -> None:
        if lora:
            loop.model.save_pretrained(out / ADAPTER, state_dict=gathered)
            _save_merged(base, out, weight_type)
        else:
            _save(loop.model, base, out, gathered)
        _make_readable(out)
        _verify(out, parameters)

    from_main(write)
    return parameters


def _gathered(loop: Loop, *, adapter_only: bool) -> dict[str, torch.Tensor] | None:
    """Return whole weights where each process holds a part of them; None where all are here."""
    if not loop.is_deepspeed_enabled or loop.deepspeed.zero_optimization_stage() < 3:  # noqa: PLR2004
        return None
    state: dict[str, torch.Tensor] | None = loop.deepspeed._zero3_consolidated_16bit_state_dict(
        exclude_frozen_parameters=adapter_only
    )
    return state if dist.is_main() else None


def _save(model: Any, base: Path, out: Path, state: dict[str, torch.Tensor] | None) -> None:
    # Training switches the cache off; a generating reader of this configuration needs it.
    model.config.use_cache = True
    model.save_pretrained(out, state_dict=state)
    AutoTokenizer.from_pretrained(base, local_files_only=True).save_pretrained(out)


def _save_merged(base: Path, out: Path, dtype: torch.dtype) -> None:
    """Merge the adapter as it lies on the disk, so that both exports agree."""
    model = PeftModel.from_pretrained(load_base(base, dtype), out / ADAPTER)
    _save(model.merge_and_unload(), base, out, None)


def _make_readable(folder: Path) -> None:
    """Weights are written for their owner only; the pod that evaluates may be another user."""
    for path in folder.rglob("*"):
        path.chmod(READABLE_FOLDER if path.is_dir() else READABLE_FILE)


def _verify(folder: Path, parameters: int) -> None:
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
