import pytest
import torch
from transformers import GptOssConfig, LlamaConfig
from transformers.utils import is_flash_attn_2_available

from support.tiny import run_file
from uncensor_trainer import varlen
from uncensor_trainer.attention import choose_attention

LLAMA = LlamaConfig(hidden_size=256, num_attention_heads=4)


def settings(tmp_path, **training):
    return run_file(tmp_path, tmp_path, training={"precision": "bf16", **training}).training


@pytest.fixture
def a_gpu(monkeypatch):
    """Let this machine look as if it had an H100 and a torch with the kernel."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(varlen, "kernel", lambda: (print, frozenset()))


@pytest.mark.parametrize(
    ("packing", "packed"), [("auto", False), ("on", True), ("off", False)], ids=str
)
def test_without_a_gpu_rows_are_packed_only_when_told(tmp_path, packing, packed):
    choice = choose_attention(settings(tmp_path, packing=packing), LLAMA, gpu=False)
    assert (choice.packed, choice.kernel) == (packed, None)
    assert ("one sequence" in choice.sentence) == packed


@pytest.mark.parametrize("packing", ["auto", "on"])
def test_on_a_gpu_torchs_own_kernel_packs(tmp_path, a_gpu, packing):
    choice = choose_attention(settings(tmp_path, packing=packing), LLAMA, gpu=True)
    assert (choice.packed, choice.kernel, choice.told_borders) == (True, "torch_varlen", True)


def test_packing_can_be_switched_off(tmp_path, a_gpu):
    choice = choose_attention(settings(tmp_path, packing="off"), LLAMA, gpu=True)
    assert (choice.packed, choice.kernel) == (False, None)


@pytest.mark.parametrize(
    ("config", "precision", "reason"),
    [
        (LLAMA, "fp32", "fp32 is no type"),
        (LlamaConfig(head_dim=12), "bf16", "heads of width 12"),
        (LlamaConfig(head_dim=512), "bf16", "heads of width 512"),
        (LlamaConfig(attn_logit_softcapping=50.0), "bf16", "cap their attention scores"),
        (LlamaConfig(attention_dropout=0.1), "bf16", "has dropout"),
        (GptOssConfig(), "bf16", "in a way of their own"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_the_kernel_is_said(tmp_path, a_gpu, config, precision, reason):
    choice = choose_attention(settings(tmp_path, precision=precision), config, gpu=True)
    assert choice.kernel != "torch_varlen"
    assert reason in choice.sentence


def test_an_old_gpu_and_an_old_torch_are_said_too(tmp_path, a_gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert "Ampere" in choose_attention(settings(tmp_path), LLAMA, gpu=True).sentence
    monkeypatch.setattr(varlen, "kernel", lambda: None)
    assert "2.11 has" in choose_attention(settings(tmp_path), LLAMA, gpu=True).sentence


@pytest.mark.parametrize(("packing", "kernel"), [("on", "flex_attention"), ("auto", None)])
def test_without_that_kernel_there_are_others(tmp_path, a_gpu, monkeypatch, packing, kernel):
    monkeypatch.setattr(varlen, "kernel", lambda: None)
    choice = choose_attention(settings(tmp_path, packing=packing), LLAMA, gpu=True)
    if is_flash_attn_2_available():
        kernel = "flash_attention_2"
    assert (choice.packed, choice.kernel) == (kernel is not None, kernel)
