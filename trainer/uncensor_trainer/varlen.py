"""Attention over packed rows with the kernel that torch itself has for rows of any length.

It needs no package beside torch. transformers calls it by a name of ours; where rows begin comes
with the batch, under the names that transformers' own FlashAttention uses.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AutoModelForCausalLM

NAME = "torch_varlen"
# FlashAttention's limits: FlashAttention-2 computes on Ampere and newer, and with heads up to this.
OLDEST_GPU = (8, 0)
WIDEST_HEAD = 256
HEAD_MULTIPLE = 8
_WANTED = {"scale", "window_size"}  # arguments without which the kernel would compute other things

Kernel = Callable[..., Tensor]


@cache
def kernel() -> tuple[Kernel, frozenset[str]] | None:
    """Return torch's kernel and the names of its arguments; None where this torch has none."""
    try:
        found: Kernel = importlib.import_module("torch.nn.attention.varlen").varlen_attn
    except (ImportError, AttributeError):
        return None
    names = frozenset(inspect.signature(found).parameters)
    return (found, names) if names >= _WANTED else None


def obstacle(config: Any, precision: str) -> str | None:
    """Return what keeps a model from this kernel, as the end of a sentence; None when it fits.

    Args:
        config: transformers' configuration of the model.
        precision: what is computed in.
    """
    return _of_the_machine() or _of_the_model(config, precision)


def _of_the_machine() -> str | None:
    if kernel() is None:
        return f"torch {torch.__version__} has no kernel for packed rows; 2.11 has"
    if torch.cuda.get_device_capability() < OLDEST_GPU:
        return "its kernel for packed rows needs an Ampere GPU or a newer one"
    return None


def _of_the_model(config: Any, precision: str) -> str | None:
    text, kind = config.get_text_config(), config.model_type
    model = AutoModelForCausalLM._model_mapping.get(type(config), None)
    takes_kernels = getattr(model, "_supports_attention_backend", False)
    # Without torch's own attention, a model does more there than queries, keys and values say.
    if not (takes_kernels and getattr(model, "_supports_sdpa", False)):
        return f"{kind} models compute attention in a way of their own"
    if getattr(text, "attn_logit_softcapping", None) is not None:
        return f"{kind} models cap their attention scores"
    if getattr(text, "attention_dropout", None):
        return "this model's attention has dropout"
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    if width > WIDEST_HEAD or width % HEAD_MULTIPLE:
        return f"heads of width {width} do not fit it"
    return "fp32 is no type of its" if precision == "fp32" else None


def register() -> str:
    """Tell transformers about it; return its name there."""
    found = kernel()
    assert found is not None  # noqa: S101 - `obstacle` would have said so
    # Bound here, since a compiler that reads the function cannot look for a kernel.
    AttentionInterface.register(NAME, partial(attention, call=found[0], takes=found[1]))
    return NAME


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    call: Kernel,
    takes: frozenset[str],
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return what each token of packed rows gets from the earlier tokens of its own row.

    Args:
        module: the attention layer; not used.
        query: [1, heads, tokens, width].
        key: [1, key heads, tokens, width]; each belongs to one or more heads of queries.
        value: as the keys.
        attention_mask: None, since rows are kept apart by where they begin.
        call: torch's kernel.
        takes: the names of its arguments.
        cu_seq_lens_q: where each row begins, and the end of the last one, int32 [rows + 1].
        max_length_q: tokens of the longest row, or more.
        scaling: of the scores.
        dropout: 0; the kernel has none.
        sliding_window: tokens that a token sees, with itself; None sees all before it.

    Returns:
        [1, tokens, heads, width], and None in the place of the scores.
    """
    if attention_mask is not None or dropout:
        raise RuntimeError("torch's attention for packed rows was asked for what it does not do")
    rows = [_flattened(one) for one in (query, key, value)]
    window = (-1, 0) if sliding_window is None else (sliding_window - 1, 0)
    # Earlier versions take fewer heads of keys without being told.
    more = {"enable_gqa": True} if "enable_gqa" in takes else {}
    out = call(
        *rows,
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        scale=scaling,
        window_size=window,
        **more,
    )
    return out[None], None


def _flattened(heads: Tensor) -> Tensor:
    """Return [tokens, heads, width] in a type that the kernel has."""
    flat = heads[0].transpose(0, 1)
    if flat.dtype != torch.float32 or not torch.is_autocast_enabled(flat.device.type):
        return flat
    # A rotation in float32 makes queries and keys float32 again.
    return flat.to(torch.get_autocast_dtype(flat.device.type))
