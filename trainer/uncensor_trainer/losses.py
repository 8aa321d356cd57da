"""The loss over the tokens that count, without the logits of a whole vocabulary.

Half of the tokens of instruction data are prompts and padding: no logits are computed for them.
For the others the output layer works chunk by chunk, and each chunk's gradient is taken at once,
so that the logits of a few hundred tokens exist at a time instead of rows x tokens x vocabulary
numbers, several times over.

Shape suffixes: B rows, T tokens, N tokens that count, C tokens of a chunk, V words, H width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from uncensor_trainer.data.tokenise import MASKED
from uncensor_trainer.memory import logits_at_once

Batch = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tail:
    """What an architecture does to its logits after the output layer.

    Attributes:
        scale: they are multiplied by this (Cohere, Granite).
        cap: then squashed into -cap ... cap (Gemma); None leaves them.
    """

    scale: float = 1.0
    cap: float | None = None

    def apply(self, logits: Tensor) -> Tensor:
        """Return the final logits; the argument may be overwritten."""
        if self.scale != 1.0:
            logits = logits.mul_(self.scale)
        return logits if self.cap is None else logits.div_(self.cap).tanh_().mul_(self.cap)

    def backward(self, gradient: Tensor, logits: Tensor) -> Tensor:
        """Return the gradient before the tail, from the one after it and the final logits."""
        if self.cap is not None:
            gradient = gradient.mul_(1 - (logits / self.cap).square_())
        return gradient if self.scale == 1.0 else gradient.mul_(self.scale)


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed from hidden values beside the weights.

    Attributes:
        wanted: the right word of each token, int64 [N].
        tail: what follows the output layer.
        chunk: tokens whose logits exist at once.
    """

    wanted: Tensor
    tail: Tail
    chunk: int


class LossHead:
    """The output layer of a model, made to return losses instead of logits.

    Args:
        model: a causal language model, with adapters or without; not the engine around it.
        chunk_logits: logits that exist at once; None takes what suits the device.
    """

    def __init__(self, model: Any, *, chunk_logits: int | None = None) -> None:
        self._head: Any = model.get_output_embeddings()
        self._neutral = list(_neutral_settings(model))
        self._tail = _tail(model)
        self._chunk_logits = chunk_logits
        # None until the first call has shown that nothing unknown happens to the logits.
        self._chunks: bool | None = None if type(self._head) is nn.Linear else False

    def summed(self, model: Any, batch: Batch) -> Tensor:
        """Return the sum of the losses of all tokens that count.

        Args:
            model: the model, or the engine around it.
            batch: input_ids and labels, int64 [B, T]; position_ids where rows are packed.
        """
        if self._chunks is False:
            return self._whole(model, batch).sum()
        return self._chunked(model, batch, each=False)

    def of_each_token(self, model: Any, batch: Batch) -> Tensor:
        """Return the loss of every token, float32 [B, T - 1], 0 where it does not count."""
        wanted = batch["labels"][:, 1:]
        whole = self._chunks is False
        values = self._whole(model, batch) if whole else self._chunked(model, batch, each=True)
        losses = torch.zeros(wanted.shape, dtype=torch.float32, device=wanted.device)
        losses[wanted != MASKED] = values
        return losses

    def _chunked(self, model: Any, batch: Batch, *, each: bool) -> Tensor:
        """Run the model with an output layer that returns losses."""
        wanted_BT = batch["labels"][:, 1:]
        counts_BT = wanted_BT != MASKED
        made: list[Tensor] = []

        def losses(hidden_BTH: Tensor) -> Tensor:
            made.append(self._losses(hidden_BTH[:, :-1][counts_BT], wanted_BT[counts_BT], each))
            return made[0]

        with self._replaced(losses):
            found: Tensor = _logits(model, batch)
        if self._chunks is None:
            # An architecture that we do not know may do more to its logits.
            self._chunks = torch.equal(found.detach().float(), made[0].detach())
        if self._chunks:
            return found
        return self._whole(model, batch) if each else self._whole(model, batch).sum()

    def _losses(self, hidden_NH: Tensor, wanted_N: Tensor, each: bool) -> Tensor:
        weight, bias = self._head.weight, self._head.bias
        most = self._chunk_logits or logits_at_once(gpu=hidden_NH.is_cuda)
        work = Work(wanted_N, self._tail, max(1, most // weight.shape[0]))
        if each:
            return _each_loss(hidden_NH, weight, bias, work)
        found: Tensor = _SummedLoss.apply(hidden_NH, weight, bias, work)  # type: ignore[no-untyped-call]
        return found

    @contextmanager
    def _replaced(self, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """Let the output layer return losses, and the model leave them as they are.

        The layer itself is called, because engines that shard weights gather them on its call.
        """
        before = [(holder, name, getattr(holder, name)) for holder, name, _ in self._neutral]
        self._head.forward = forward
        try:
            for holder, name, neutral in self._neutral:
                setattr(holder, name, neutral)
            yield
        finally:
            del self._head.forward
            for holder, name, value in before:
                setattr(holder, name, value)

    def _whole(self, model: Any, batch: Batch) -> Tensor:
        """Return the loss of each token that counts, from all their logits at once, [N]."""
        wanted = batch["labels"][:, 1:]
        counts = wanted != MASKED

        def only_counted(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            return (args[0][:, :-1][counts],)

        hook = self._head.register_forward_pre_hook(only_counted)
        try:
            logits = _logits(model, batch)
        finally:
            hook.remove()
        return functional.cross_entropy(logits.float(), wanted[counts], reduction="none")


def _logits(model: Any, batch: Batch) -> Tensor:
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    # With a cache, packed rows would see each other.
    logits: Tensor = model(**inputs, use_cache=False).logits
    return logits


def _tail(model: Any) -> Tail:
    found = {name: getattr(holder, name) for holder, name, _ in _neutral_settings(model)}
    scale = found.get("logit_scale", 1.0) / found.get("logits_scaling", 1.0)
    return Tail(scale=float(scale), cap=found.get("final_logit_softcapping"))


def _neutral_settings(model: Any) -> Iterator[tuple[Any, str, float | None]]:
    """Yield (holder, setting, value that does nothing) of what happens to this model's logits."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    candidates = (
        (base.config, "final_logit_softcapping", None),
        (base.config, "logits_scaling", 1.0),
        (base, "logit_scale", 1.0),
    )
    for holder, name, neutral in candidates:
        if isinstance(getattr(holder, name, None), int | float):
            yield holder, name, neutral


class _SummedLoss(torch.autograd.Function):
    """Sum of the cross-entropies, with the gradients computed on the way forward."""

    @staticmethod
    def forward(
        ctx: Any, hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, work: Work
    ) -> Tensor:
        needs = ctx.needs_input_grad[:3]
        total = torch.zeros((), dtype=torch.float32, device=hidden_NH.device)
        gradients = _Gradients(hidden_NH, weight_VH, bias_V, needs)
        for part, logits_CV in _chunks(hidden_NH, weight_VH, bias_V, work):
            wanted_C = work.wanted[part]
            logs_CV = torch.log_softmax(logits_CV, dim=-1)
            total -= logs_CV.gather(1, wanted_C[:, None]).sum()
            if any(needs):
                logs_CV.exp_()[torch.arange(len(wanted_C), device=wanted_C.device), wanted_C] -= 1
                gradients.add(part, work.tail.backward(logs_CV, logits_CV))
        gradients.forget_inputs()
        ctx.gradients = gradients
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return (*ctx.gradients.scaled(outer[0]), None)


class _Gradients:
    """Gradients of hidden values, weight and bias, summed over the chunks."""

    def __init__(
        self,
        hidden_NH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor | None,
        needs: tuple[bool, bool, bool],
    ) -> None:
        self._type = _compute_type(hidden_NH)
        self._hidden, self._weight = hidden_NH, weight_VH.to(self._type)
        self._types = (hidden_NH.dtype, weight_VH.dtype)
        self.of_hidden = torch.empty_like(hidden_NH) if needs[0] else None
        # Summed in float32: a chunk's part can be too small for bfloat16 to add it.
        self.of_weight = torch.zeros_like(weight_VH, dtype=torch.float32) if needs[1] else None
        self.of_bias = None
        if bias_V is not None and needs[2]:
            self.of_bias = torch.zeros_like(bias_V, dtype=torch.float32)

    def add(self, part: slice, gradient_CV: Tensor) -> None:
        if self.of_bias is not None:
            self.of_bias += gradient_CV.sum(dim=0)
        gradient_CV = gradient_CV.to(self._type)
        with _no_autocast(gradient_CV):
            if self.of_hidden is not None:
                self.of_hidden[part] = gradient_CV @ self._weight
            if self.of_weight is None:
                return
            hidden_CH = self._hidden[part].to(self._type)
            if self._type is torch.float32:
                self.of_weight.addmm_(gradient_CV.T, hidden_CH)
            else:
                self.of_weight += gradient_CV.T @ hidden_CH

    def forget_inputs(self) -> None:
        """Let go of weights and hidden values: until the backward pass only gradients stay."""
        del self._weight, self._hidden

    def scaled(self, factor: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return them times a factor; used once, so they may be overwritten."""
        hidden, weight, bias = (
            None if one is None else one.mul_(factor)
            for one in (self.of_hidden, self.of_weight, self.of_bias)
        )
        return (
            hidden,
            None if weight is None else weight.to(self._types[1]),
            None if bias is None else bias.to(self._types[1]),
        )


def _each_loss(hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, work: Work) -> Tensor:
    """Return the cross-entropy of each token, float32 [N]; has no gradient."""
    losses = torch.empty(len(work.wanted), dtype=torch.float32, device=hidden_NH.device)
    with torch.no_grad():
        for part, logits_CV in _chunks(hidden_NH, weight_VH, bias_V, work):
            wanted_C = work.wanted[part]
            losses[part] = functional.cross_entropy(logits_CV, wanted_C, reduction="none")
    return losses


def _chunks(
    hidden_NH: Tensor, weight_VH: Tensor, bias_V: Tensor | None, work: Work
) -> Iterator[tuple[slice, Tensor]]:
    """Yield which tokens, and their final logits, float32 [C, V]."""
    kind = _compute_type(hidden_NH)
    weight, bias = weight_VH.to(kind), None if bias_V is None else bias_V.to(kind)
    for start in range(0, len(hidden_NH), work.chunk):
        part = slice(start, start + work.chunk)
        with _no_autocast(hidden_NH):
            logits = functional.linear(hidden_NH[part].to(kind), weight, bias).float()
        yield part, work.tail.apply(logits)


def _compute_type(tensor: Tensor) -> torch.dtype:
    """Return the type that products are computed in."""
    device = tensor.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return tensor.dtype


def _no_autocast(tensor: Tensor) -> torch.autocast:
    return torch.autocast(tensor.device.type, enabled=False)
