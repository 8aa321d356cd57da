"""torch.compile and liger-kernel: refused in time where they cannot work, and harmless."""

import importlib.metadata
import shutil
import types

import pytest
import torch
from transformers import AutoModelForCausalLM

from support.tiny import run_file, tiny_model
from uncensor_trainer import fusion
from uncensor_trainer.engine import Split, choose_engine
from uncensor_trainer.exits import InvalidInput

KNOWN = {"llama": print}


def settings(tmp_path, **training):
    return run_file(tmp_path, tmp_path, training={"precision": "bf16", **training}).training


def check(training, *, processes=1, gpu=True, model_type="llama"):
    engine = choose_engine(training, Split(1, 1, processes), gpu=gpu)
    fusion.refuse_unfit(training, engine, model_type)


@pytest.fixture
def liger(monkeypatch):
    """Let liger-kernel seem to be installed, with kernels for one kind of model."""
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.8.5")
    calls = []
    patch = types.SimpleNamespace(
        MODEL_TYPE_TO_APPLY_LIGER_FN=KNOWN,
        _apply_liger_kernel_to_instance=lambda **told: calls.append(told),
    )
    monkeypatch.setattr(fusion, "_liger", lambda: patch)
    return calls


def test_what_works_is_not_refused(tmp_path, liger):
    check(settings(tmp_path, torch_compile=True, liger_kernels=True))


def test_a_missing_package_is_told_before_anything_is_loaded(tmp_path):
    with pytest.raises(InvalidInput, match=r"uncensor-operator\[liger\]"):
        check(settings(tmp_path, liger_kernels=True))


def test_models_that_it_does_not_know_are_told(tmp_path, liger):
    with pytest.raises(InvalidInput, match=r"no kernels for mamba models; it has some for: llama"):
        check(settings(tmp_path, liger_kernels=True), model_type="mamba")


@pytest.mark.parametrize("switch", ["torch_compile", "liger_kernels"])
def test_a_missing_compiler_is_told(tmp_path, liger, monkeypatch, switch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(InvalidInput, match="C compiler"):
        check(settings(tmp_path, **{switch: True}))


def test_weights_that_are_gathered_on_the_way_cannot_be_compiled(tmp_path):
    training = settings(tmp_path, torch_compile=True, deepspeed={"stage": 3})
    check(training, processes=1)
    with pytest.raises(InvalidInput, match=r"Set deepspeed.stage to 2"):
        check(training, processes=2)
    check(settings(tmp_path, torch_compile=True, deepspeed={"stage": 2}), processes=2)


def test_on_a_cpu_the_switches_are_left_out_with_a_note(tmp_path):
    training = settings(tmp_path, torch_compile=True, liger_kernels=True)
    check(training, gpu=False)
    assert fusion.wanted(training, gpu=False) == ()
    assert "no GPU here" in fusion.note(training, gpu=False)
    assert fusion.note(training, gpu=True) == "torchCompile and ligerKernels: in use."
    assert fusion.note(settings(tmp_path), gpu=True) is None


def test_liger_does_not_get_the_loss(tmp_path, liger):
    model = object()
    fusion.fuse(model, settings(tmp_path, liger_kernels=True), gpu=True)
    assert liger == [{"model": model, "cross_entropy": False, "fused_linear_cross_entropy": False}]


@pytest.mark.filterwarnings("ignore")  # of torch's compiler, about its own code
@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "gradient checkpointing"])
def test_a_compiled_model_keeps_its_names_and_its_numbers(tmp_path, checkpointing):
    folder = tiny_model(tmp_path)
    plain, compiled = (AutoModelForCausalLM.from_pretrained(folder) for _ in range(2))
    if checkpointing:
        compiled.activation_checkpointing_enable({"use_reentrant": False})
    fusion.compile_layers(compiled, backend="eager")
    assert list(compiled.state_dict()) == list(plain.state_dict())
    for tokens in (5, 9):
        ids = torch.randint(0, 30, (2, tokens))
        losses = [one.train()(ids, labels=ids, use_cache=False).loss for one in (plain, compiled)]
        for loss in losses:
            loss.backward()
        assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-6)
    for one, other in zip(plain.parameters(), compiled.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-6)


def test_a_model_without_named_layers_is_refused():
    with pytest.raises(InvalidInput, match="what its layers are"):
        fusion.compile_layers(torch.nn.Linear(2, 2))
