"""torch's kernel for packed rows: what it is told, and that rows stay apart.

The kernel itself runs on GPUs only (test_gpu.py). Here a stand-in computes the same from the same
arguments, row by row, so that everything around it runs for real.
"""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForCausalLM, MistralConfig, MistralForCausalLM

from support.packing import packed_and_alone
from support.tiny import TINY, tiny_model
from uncensor_trainer import varlen

CALLS = []


def row_by_row(query, key, value, *borders, scale, window_size, enable_gqa):
    """Stand in for torch's varlen_attn, [tokens, heads, width] each."""
    cu_seq_q, cu_seq_k, max_q, max_k = borders
    CALLS.append((cu_seq_q.tolist(), max_q, max_k))
    assert torch.equal(cu_seq_q, cu_seq_k)
    assert cu_seq_q.dtype == torch.int32
    rows = []
    for first, end in zip(cu_seq_q[:-1].tolist(), cu_seq_q[1:].tolist(), strict=True):
        q, k, v = (one[first:end].transpose(0, 1)[None] for one in (query, key, value))
        places = torch.arange(end - first)
        distance = places[:, None] - places[None]
        seen = (distance >= 0) & ((window_size[0] < 0) | (distance <= window_size[0]))
        found = scaled_dot_product_attention(
            q, k, v, attn_mask=seen, scale=scale, enable_gqa=enable_gqa
        )
        rows.append(found[0].transpose(0, 1))
    return torch.cat(rows)


@pytest.fixture(autouse=True)
def a_kernel(monkeypatch):
    CALLS.clear()
    names = frozenset({"scale", "window_size", "enable_gqa"})
    monkeypatch.setattr(varlen, "kernel", lambda: (row_by_row, names))
    varlen.register()


def a_llama(folder):
    return AutoModelForCausalLM.from_pretrained(tiny_model(folder), attn_implementation=varlen.NAME)


def a_mistral(_):
    """Its tokens see 8 tokens back."""
    config = MistralConfig(**TINY, vocab_size=64, sliding_window=8)
    return MistralForCausalLM._from_config(config, attn_implementation=varlen.NAME)


@pytest.mark.parametrize("make", [a_llama, a_mistral])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "gradient checkpointing"])
def test_packed_rows_learn_what_they_learn_alone(tmp_path, make, checkpointing):
    torch.manual_seed(0)
    model = make(tmp_path)
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    packed, alone = packed_and_alone(model, [2, 5, 9, 30, 31])
    assert packed.loss == pytest.approx(alone.loss, rel=1e-6)
    for name, value in alone.gradients.items():
        assert torch.allclose(packed.gradients[name], value, atol=2e-5), name


def test_the_kernel_is_told_where_rows_begin_and_how_long_the_longest_is(tmp_path):
    packed_and_alone(a_llama(tmp_path), [2, 5, 9])
    layers = 2
    assert CALLS[:layers] == [([0, 2, 7, 16], 9, 9)] * layers


def test_computing_in_bf16_hands_over_bf16_whatever_the_rotation_made(tmp_path, monkeypatch):
    kinds = set()

    def noting(query, key, value, *others, **more):
        kinds.update({query.dtype, key.dtype, value.dtype})
        return row_by_row(query, key, value, *others, **more)

    monkeypatch.setattr(varlen, "kernel", lambda: (noting, frozenset({"enable_gqa"})))
    varlen.register()
    with torch.autocast("cpu", torch.bfloat16):
        packed_and_alone(a_llama(tmp_path), [4, 6])
    assert kinds == {torch.bfloat16}


def test_torchs_own_kernel_has_the_arguments_that_we_use(monkeypatch):
    monkeypatch.undo()
    found = varlen.kernel()
    assert found is None or {"scale", "window_size"} <= found[1]


def test_dropout_is_not_left_out_in_silence(tmp_path):
    model = AutoModelForCausalLM.from_pretrained(
        tiny_model(tmp_path, attention_dropout=0.1), attn_implementation=varlen.NAME
    )
    with pytest.raises(RuntimeError, match="what it does not do"):
        packed_and_alone(model, [4, 6])
