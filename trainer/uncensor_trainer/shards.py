"""Weights into safetensors files of bounded size, one tensor after another.

Nobody ever holds a whole model: a sharded one is gathered tensor by tensor, an adapter is merged
tensor by tensor from the files of the base model. In memory are the tensors of one shard and the
one at hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from uncensor_trainer import dist
from uncensor_trainer.workspace import write_json

SHARD_BYTES = 2 * 2**30
Named = tuple[str, torch.Tensor]
_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


def write_shards(folder: Path, tensors: Iterable[Named], limit: int = SHARD_BYTES) -> None:
    """Write model.safetensors, or numbered shards of at most `limit` bytes with their index.

    A tensor larger than the limit gets a shard of its own.
    """
    written: list[list[str]] = []
    shard: dict[str, torch.Tensor] = {}
    total = held = 0
    for name, tensor in tensors:
        if shard and held + tensor.nbytes > limit:
            _write(folder, shard, written)
            shard, held = {}, 0
        shard[name] = tensor
        held, total = held + tensor.nbytes, total + tensor.nbytes
    _write(folder, shard, written)
    _name(folder, written, total)


def _write(folder: Path, shard: dict[str, torch.Tensor], written: list[list[str]]) -> None:
    save_file(shard, folder / f".shard-{len(written)}", metadata={"format": "pt"})
    written.append(list(shard))


def _name(folder: Path, written: list[list[str]], total: int) -> None:
    """Give the shards their names, which say how many there are."""
    count = len(written)
    if count == 1:
        (folder / ".shard-0").rename(folder / "model.safetensors")
        return
    places = {}
    for number, names in enumerate(written):
        file = f"model-{number + 1:05}-of-{count:05}.safetensors"
        (folder / f".shard-{number}").rename(folder / file)
        places.update(dict.fromkeys(names, file))
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    write_json(folder / "model.safetensors.index.json", index)


def gathered(model: Any) -> Iterator[Named]:
    """Yield every weight of a model that ZeRO-3 has sharded, once, whole, in main memory.

    All processes must walk through it together; on those that do not write, tensors are empty.
    """
    import deepspeed  # noqa: PLC0415 - takes seconds; only sharded models need it

    for name, parameter in model.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter]):
            whole = parameter.detach().to("cpu", copy=True) if dist.is_main() else torch.empty(0)
        yield name, whole.contiguous()
    kept = model.state_dict().keys()
    for name, buffer in model.named_buffers():
        if name in kept:
            yield name, buffer.detach().to("cpu", copy=True).contiguous()


class MergeRefused(Exception):  # noqa: N818 - not an error: somebody else merges then
    """The adapter does not fit the files of the base model tensor by tensor."""


def merged(
    base: Path, adapter: Path, scaling: float, dtype: torch.dtype, needed: Collection[str] = ()
) -> Iterator[Named]:
    """Yield the weights of the base model with W + scaling * B A where the adapter changes them.

    Raises:
        MergeRefused: before the first tensor, when the adapter changes what is no plain linear
            layer under the same name in the files, or they lack a `needed` name.
    """
    low = load_file(adapter / "adapter_model.safetensors")
    changed = {name.removeprefix(_PREFIX).removesuffix(_A) for name in low if name.endswith(_A)}
    files = sorted(base.glob("*.safetensors"))
    _refuse_misfit(files, low, changed, needed)
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a dict
                weight = tensors.get_tensor(name)
                module = name.removesuffix(".weight")
                if module in changed:
                    first, second = low[_PREFIX + module + _A], low[_PREFIX + module + _B]
                    weight = weight.float() + scaling * (second.float() @ first.float())
                yield name, weight.to(dtype) if weight.is_floating_point() else weight


def _refuse_misfit(
    files: list[Path], low: dict[str, torch.Tensor], changed: set[str], needed: Collection[str]
) -> None:
    shapes: dict[str, list[int]] = {}
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            shapes |= {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118
    for module in changed:
        wanted = [low[_PREFIX + module + _B].shape[0], low[_PREFIX + module + _A].shape[1]]
        if shapes.get(f"{module}.weight") != wanted:
            raise MergeRefused(module)
    if len(low) != 2 * len(changed) or not set(needed) <= shapes.keys():
        raise MergeRefused("more than pairs of matrices, or files that name tensors otherwise")
