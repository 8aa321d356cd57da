"""Fewer and larger kernels on a GPU: torch.compile, and the kernels of the package liger-kernel.

Norms, rotations and activations move much memory and compute little. Both switches join them:
torch.compile by generating code for each layer, liger-kernel with kernels that come ready. Weights
keep their names and the loss stays ours (`losses.py`). What cannot work is refused before a weight
is read.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import types
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from uncensor_trainer.engine import Engine
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.runfile import TrainingSettings

PACKAGE = "liger-kernel"
ZERO_3 = 3
_COMPILERS = ("cc", "gcc", "clang")
# The loss is ours: theirs would need the logits of all tokens, or would replace our own chunks.
_NOT_THEIRS = ("cross_entropy", "fused_linear_cross_entropy")


def wanted(training: TrainingSettings, *, gpu: bool) -> tuple[str, ...]:
    """Return the switches that count; on a CPU none does, since these kernels are for GPUs."""
    switches = {"torchCompile": training.torch_compile, "ligerKernels": training.liger_kernels}
    return tuple(name for name, on in switches.items() if on and gpu)


def note(training: TrainingSettings, *, gpu: bool) -> str | None:
    """Return what to tell people about the switches; None when none is set."""
    on = wanted(training, gpu=True)
    if not on:
        return None
    names = " and ".join(on)
    return f"{names}: in use." if gpu else f"{names}: left out, since there is no GPU here."


def refuse_unfit(training: TrainingSettings, engine: Engine, model_type: str) -> None:
    """Check that the switches can work.

    Raises:
        InvalidInput: a package or a compiler is missing, or something does not go together.
    """
    on = wanted(training, gpu=engine.gpu)
    if on and not (os.environ.get("CC") or any(map(shutil.which, _COMPILERS))):
        raise InvalidInput(
            f"training.{on[0]} builds its kernels with a C compiler, and there is none "
            f"({', '.join(_COMPILERS)}). Use an image that has one, or switch it off."
        )
    sharded = engine.deepspeed is not None and training.deepspeed.stage == ZERO_3
    if "torchCompile" in on and sharded:
        raise InvalidInput(
            "training.torchCompile does not go together with deepspeed.stage 3, which gathers "
            "weights in the middle of what would be compiled. Set deepspeed.stage to 2 or lower, "
            "or torchCompile to false."
        )
    if "ligerKernels" in on:
        _refuse_without_liger(model_type)


def _refuse_without_liger(model_type: str) -> None:
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise InvalidInput(
            f"training.ligerKernels needs the package {PACKAGE}, and it is not installed. Install "
            "uncensor-operator[liger] in the trainer's image, or set ligerKernels to false."
        ) from None
    known = _liger().MODEL_TYPE_TO_APPLY_LIGER_FN
    if model_type not in known:
        raise InvalidInput(
            f"{PACKAGE} {version} has no kernels for {model_type} models; it has some for: "
            f"{', '.join(sorted(known))}. Set training.ligerKernels to false."
        )


def fuse(model: Any, training: TrainingSettings, *, gpu: bool) -> None:
    """Apply the switches to a model, in place."""
    on = wanted(training, gpu=gpu)
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if "ligerKernels" in on:
        _liger()._apply_liger_kernel_to_instance(model=base, **dict.fromkeys(_NOT_THEIRS, False))
    if "torchCompile" in on:
        compile_layers(base)


def compile_layers(model: Any, *, backend: str = "inductor") -> None:
    """Compile each layer for any number of tokens; all share the code of the first.

    Compiled in place: a model that wraps the compiled one would have weights of other names. The
    output layer stays outside, where the loss replaces it.

    Raises:
        InvalidInput: the model does not say what its layers are.
    """
    layers = list(_layers(model))
    if not layers:
        raise InvalidInput(
            f"training.torchCompile compiles layer by layer, and {type(model).__name__} does not "
            "say what its layers are. Set it to false."
        )
    for layer in layers:
        if isinstance(layer, GradientCheckpointingLayer):
            _compile_inside(layer, backend)
        else:
            layer.compile(backend=backend, dynamic=True)


def _compile_inside(layer: Any, backend: str) -> None:
    """Compile what a layer computes, and leave gradient checkpointing around it.

    Both ways of checkpointing then run the same code, and the compiler never sees that it runs
    twice.
    """
    own = types.MethodType(type(layer).forward.__wrapped__, layer)
    compiled = torch.compile(own, backend=backend, dynamic=True)

    def forward(*args: Any, **kwargs: Any) -> Any:
        if layer.gradient_checkpointing and layer.training:
            return layer._gradient_checkpointing_func(partial(compiled, **kwargs), *args)
        return compiled(*args, **kwargs)

    layer.forward = forward


def _layers(model: Any) -> Iterator[torch.nn.Module]:
    names = set(getattr(model, "_no_split_modules", None) or ())
    return (module for module in model.modules() if type(module).__name__ in names)


def _liger() -> Any:
    from liger_kernel.transformers import monkey_patch  # noqa: PLC0415 - an optional package

    return monkey_patch
