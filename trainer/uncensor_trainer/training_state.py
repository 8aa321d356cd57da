"""What an optimizer works with, in the same words for every engine.

Plain torch keeps each parameter whole. ZeRO 1 and 2 keep one flat vector a parameter group, cut
into equal parts over the processes; ZeRO 3 cuts every parameter by itself. Here all of them are
flat float32 vectors (`Shard`) with a list of which stretch of which parameter lies where in them.
Saving and restoring only knows shards, so state moves between engines of any kind and size.

Only trained parameters have state. Frozen ones come from the base model, as do buffers, which no
language model changes while it trains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from uncensor_trainer import dist
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json
from uncensor_trainer.state_files import Piece, StateReader

WEIGHT = "weight"
MOMENTS = ("exp_avg", "exp_avg_sq")
# Attributes of DeepSpeed's dynamic loss scaler that change while it runs.
LOSS_SCALE = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")
ZERO_3 = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """A parameter, or a part of it, in a shard.

    Attributes:
        name: the parameter.
        start: index of the first number in the flattened parameter.
        offset: index of the first number in the shard.
        numbers: how many.
    """

    name: str
    start: int
    offset: int
    numbers: int


@dataclass(frozen=True, slots=True)
class Shard:
    """One tensor of an optimizer, with its moments.

    Attributes:
        master: float32 [numbers], or the parameter itself: the key of the optimizer's state.
        optimizer: torch's optimizer, inside whatever is around it.
        stretches: which parameters lie in it.
    """

    master: torch.Tensor
    optimizer: torch.optim.Optimizer
    stretches: tuple[Stretch, ...]

    @property
    def state(self) -> dict[str, Any]:
        """The optimizer's state; before the first step what AdamW would begin with."""
        state: dict[str, Any] = self.optimizer.state[self.master]
        if not state:
            group = self.optimizer.param_groups[0]
            on_device = group.get("fused") or group.get("capturable")
            device = self.master.device if on_device else torch.device("cpu")
            state["step"] = torch.zeros((), dtype=torch.float32, device=device)
            for moment in MOMENTS:
                state[moment] = torch.zeros_like(self.master, requires_grad=False)
        return state

    def pieces(self) -> Iterator[Piece]:
        """Yield views of weights and moments, parameter by parameter."""
        vectors = {WEIGHT: self.master, **{moment: self.state[moment] for moment in MOMENTS}}
        for kind, vector in vectors.items():
            flat = vector.detach().view(-1)
            for one in self.stretches:
                values = flat[one.offset : one.offset + one.numbers]
                yield Piece(kind, one.name, one.start, values)


class TrainingState:
    """The state of one process's engine; `engine` is DeepSpeed's, or None for plain torch."""

    def __init__(self, model: torch.nn.Module, optimizer: Any, engine: Any | None) -> None:
        self._zero = engine.optimizer if engine is not None else None
        self._engine = engine
        # Without sharding every process keeps everything; one of them saves it.
        self._saves = True
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        if engine is None or isinstance(self._zero, torch.optim.Optimizer):
            inner = optimizer.optimizer if engine is None else self._zero
            self._shards = _whole_parameters(model, _innermost(inner))
            self._saves = dist.is_main()
        elif engine.zero_optimization_stage() == ZERO_3:
            self._shards = _zero_3(self._zero, names)
        elif hasattr(self._zero, "single_partition_of_fp32_groups"):
            self._shards = _zero_1_and_2(self._zero, names)
        else:
            raise InvalidInput(
                "training.deepspeed.stage 0 with bf16 or fp16 keeps state that cannot be saved "
                "for other processes. Use stage 1: it computes the same and needs less memory."
            )

    def pieces(self) -> list[Piece]:
        """Return views of everything that this process has to save."""
        return list(self._kept()) if self._saves else []

    def before_change(self, wait: Callable[..., None]) -> None:
        """Have `wait` called before each step of torch's optimizer, which alone changes them.

        DeepSpeed scales gradients before that, but touches neither weights nor moments.
        """
        for optimizer in {id(shard.optimizer): shard.optimizer for shard in self._shards}.values():
            optimizer.register_step_pre_hook(wait)

    def _kept(self) -> Iterator[Piece]:
        for shard in self._shards:
            yield from (piece for piece in shard.pieces() if piece.values.numel())

    def counters(self) -> dict[str, Json]:
        """Return the few numbers beside the vectors."""
        scaler = getattr(self._zero, "loss_scaler", None)
        scale = {name: getattr(scaler, name) for name in LOSS_SCALE if hasattr(scaler, name)}
        steps = float(self._shards[0].state["step"]) if self._shards else 0.0
        return {"optimizerStep": steps, "lossScale": dict(scale)}

    def restore(self, reader: StateReader, counters: Mapping[str, Any]) -> None:
        """Bring back saved state; the working weights follow the float32 ones.

        Raises:
            WorkspaceFailure: the checkpoint does not hold everything.
        """
        with torch.no_grad():
            for piece in self._kept():
                reader.fill(piece)
            for shard in self._shards:
                shard.state["step"].fill_(counters["optimizerStep"])
            self._refresh_working_weights()
        scaler = getattr(self._zero, "loss_scaler", None)
        for name, value in counters["lossScale"].items():
            if hasattr(scaler, name):
                setattr(scaler, name, value)

    def _refresh_working_weights(self) -> None:
        if self._engine is None or self._zero is None:
            return
        if isinstance(self._zero, torch.optim.Optimizer):
            return
        if self._engine.zero_optimization_stage() == ZERO_3:
            _refresh_zero_3(self._zero)
        else:
            self._zero.update_lp_params()


def _innermost(optimizer: Any) -> torch.optim.Optimizer:
    while not isinstance(optimizer, torch.optim.Optimizer) or hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer


def _whole_parameters(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[Shard]:
    return [
        Shard(parameter, optimizer, (Stretch(name, 0, 0, parameter.numel()),))
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]


def _zero_1_and_2(zero: Any, names: Mapping[int, str]) -> list[Shard]:
    shards = []
    for group, master in zip(zero.bit16_groups, zero.single_partition_of_fp32_groups, strict=True):
        stretches = []
        for parameter in group:
            place = parameter._hp_mapping  # None where this process keeps nothing of it
            if place is None:
                continue
            here, there = place.lp_fragment_address, place.hp_fragment_address
            stretches.append(Stretch(names[id(parameter)], here.start, there.start, here.numel))
        shards.append(Shard(master, zero.optimizer, tuple(stretches)))
    return shards


def _zero_3(zero: Any, names: Mapping[int, str]) -> list[Shard]:
    shards = []
    for group, master in zip(zero.fp16_groups, zero.fp32_partitioned_groups_flat, strict=True):
        stretches, offset = [], 0
        for parameter in group:
            share = parameter.partition_numel()
            start = dist.rank() * share
            numbers = max(0, min(share, parameter.ds_numel - start))  # the last share is padded
            stretches.append(Stretch(names[id(parameter)], start, offset, numbers))
            offset += share
        shards.append(Shard(master, zero.optimizer, tuple(stretches)))
    return shards


def _refresh_zero_3(zero: Any) -> None:
    """Copy the float32 shares into the working ones, then into parameters that stay whole."""
    zero.checkpoint_event_prologue()  # every process keeps its share only
    for group, working, master in zip(
        zero.fp16_partitioned_groups,
        zero.fp16_partitioned_groups_flat,
        zero.fp32_partitioned_groups_flat,
        strict=True,
    ):
        if not master.numel():
            continue
        working.data.copy_(master.data)
        for share, values in zip(group, zero.unflatten(working, group), strict=True):
            share.data = values.data
    zero.checkpoint_event_epilogue()
