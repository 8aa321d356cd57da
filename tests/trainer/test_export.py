"""The finished model: in bounded shards, complete or refused, and the same in another process."""

import gc
import json
import subprocess
import sys
import weakref
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from support.tiny import prepared_workspace, run_file, some_rows, tiny_model
from support.training import arm_dir, train
from uncensor_trainer.exits import NumericFailure, WorkspaceFailure
from uncensor_trainer.export import export_model, verify
from uncensor_trainer.shards import MergeRefused, merged, write_shards

IDS = torch.arange(2, 30)[None]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


def settings(base, **training):
    return run_file(base, base, training=training).training


def changed(base):
    """Return the base model with other weights, as training would leave it."""
    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(3)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.05 * torch.randn_like(value))
    return model.eval()


def as_loop(model):
    return SimpleNamespace(model=model, is_deepspeed_enabled=False)


def numbered(names, size=25):
    return [(name, torch.full((size,), float(at))) for at, name in enumerate(names)]


def test_an_exported_model_gives_the_same_logits_in_a_fresh_process(base, tmp_path):
    model = changed(base)
    export_model(as_loop(model), settings(base), base, tmp_path)
    program = (
        "import sys, torch; from transformers import AutoModelForCausalLM as M; "
        "m = M.from_pretrained(sys.argv[1]).eval(); "
        "torch.save(m(torch.arange(2, 30)[None]).logits.detach(), sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path, tmp_path / "logits.pt"], check=True)
    with torch.no_grad():
        wanted = model(IDS).logits
    assert torch.equal(torch.load(tmp_path / "logits.pt", weights_only=True), wanted)


def test_shards_are_bounded_and_load_as_one_model(base, tmp_path):
    model = changed(base)
    limit = 20_000
    write_shards(tmp_path, ((n, p.detach()) for n, p in model.named_parameters()), limit)
    model.config.save_pretrained(tmp_path)
    files = sorted(tmp_path.glob("model-*-of-*.safetensors"))
    assert len(files) > 2
    largest = max(value.nbytes for value in model.parameters())
    assert all(file.stat().st_size < max(limit, largest) + 2000 for file in files)
    other = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(other(IDS).logits, model(IDS).logits)


def test_a_small_model_is_one_file_without_an_index(tmp_path):
    write_shards(tmp_path, numbered("ab"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_no_more_than_one_shard_and_one_tensor_are_in_memory(tmp_path):
    alive, most = [], [0]

    def made():
        for name in "abcdefghijkl":
            gc.collect()
            tensor = torch.zeros(25)
            alive.append(weakref.ref(tensor))
            most[0] = max(most[0], sum(one() is not None for one in alive))
            yield name, tensor
            del tensor

    write_shards(tmp_path, made(), limit=300)
    assert most[0] <= 3 + 1
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 1200
    assert len(set(index["weight_map"].values())) == 4


FAULTS = {
    "empty": (lambda _: torch.empty(0), WorkspaceFailure, "was exported empty"),
    "cut": (lambda value: value[:-1].clone(), WorkspaceFailure, r"has the shape \(31,\), wanted"),
    "nan": (lambda value: value * float("nan"), NumericFailure, "not finite"),
    "gone": (None, WorkspaceFailure, "no model.norm.weight"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_tensor_fails_the_export(base, tmp_path, fault):
    spoil, error, message = FAULTS[fault]
    model = changed(base)
    export_model(as_loop(model), settings(base), base, tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    value = tensors.pop("model.norm.weight")
    if spoil is not None:
        tensors["model.norm.weight"] = spoil(value)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(error, match=message):
        verify(tmp_path, model.num_parameters())


def an_adapter(model, folder, **config):
    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **config))
    with torch.no_grad():
        for name, value in adapted.named_parameters():
            if "lora_" in name:
                value.normal_(std=0.1)
    adapted.save_pretrained(folder)


def test_merging_from_the_files_is_what_peft_computes(base, tmp_path):
    an_adapter(AutoModelForCausalLM.from_pretrained(base), tmp_path, target_modules="all-linear")
    found = dict(merged(base, tmp_path, scaling=2.0, dtype=torch.float32))
    whole = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path)
    wanted = whole.merge_and_unload().state_dict()
    assert set(found) <= set(wanted)
    assert all(torch.allclose(value, wanted[name], atol=1e-6) for name, value in found.items())


@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_layers_that_are_stored_transposed_are_left_to_peft(tmp_path):
    config = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=32, bos_token_id=0)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "base")
    model = GPT2LMHeadModel.from_pretrained(tmp_path / "base")
    an_adapter(model, tmp_path / "adapter", target_modules=["c_attn"], fan_in_fan_out=True)
    with pytest.raises(MergeRefused):
        next(merged(tmp_path / "base", tmp_path / "adapter", 2.0, torch.float32))


def test_a_finished_folder_tells_where_it_comes_from_and_checks_itself(base, tmp_path):
    run = run_file(tmp_path, base)
    prepared_workspace(run, some_rows(24))
    train(run)
    out = arm_dir(run) / "model"
    said = (out / "README.md").read_text()
    assert "data set greetings" in said
    assert "learning_rate | 0.001" in said
    assert "finalLoss" in said
    assert f"torch | {torch.__version__.split('+')[0]}" in said
    assert (out / "generation_config.json").exists()
    command = ["sha256sum", "-c", "--strict", "SHA256SUMS"]
    told = subprocess.run(command, cwd=out, capture_output=True, text=True, check=True).stdout
    listed = {line.split(": ")[0] for line in told.splitlines()}
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert there - listed <= {"SHA256SUMS", "stage.json"}
