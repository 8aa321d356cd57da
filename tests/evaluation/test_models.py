import pytest
from safetensors.torch import load_file, save_file

from support.tiny import tiny_model
from uncensor_trainer.evaluation.models import open_model
from uncensor_trainer.exits import InvalidInput


def test_a_chat_models_second_end_token_ends_an_answer_too(tmp_path):
    opened = open_model(tiny_model(tmp_path), "auto")
    opened.model.generation_config.eos_token_id = [7, 9]
    opened.model.save_pretrained(tmp_path)
    assert open_model(tmp_path, "auto").end_tokens == {7, 9, opened.tokenizer.eos_token_id}


def test_the_model_is_measured_in_float32_whatever_it_is_stored_in(tmp_path):
    opened = open_model(tiny_model(tmp_path), "auto")
    opened.model.bfloat16().save_pretrained(tmp_path)
    reopened = open_model(tmp_path, "auto")
    assert {str(weight.dtype) for weight in reopened.model.parameters()} == {"torch.float32"}
    assert not reopened.model.training


def forget_a_tensor(folder):
    file = folder / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})


def cut_the_weights(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(forget_a_tensor, "no weights for model.layers.1.mlp.up_proj", id="no tensor"),
        pytest.param(cut_the_weights, "cannot be loaded", id="half a file"),
        pytest.param(
            lambda folder: (folder / "model.safetensors").unlink(), "cannot be loaded", id="none"
        ),
        pytest.param(
            lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded", id="config"
        ),
        pytest.param(
            lambda folder: (folder / "config.json").write_text('{"model_type": "nosuch"}'),
            "cannot be loaded",
            id="unknown architecture",
        ),
        pytest.param(
            lambda folder: (folder / "tokenizer.json").write_text("{"),
            "cannot be loaded",
            id="tokenizer",
        ),
    ],
)
def test_a_damaged_model_is_refused_with_its_folder(tmp_path, damage, message):
    tiny_model(tmp_path)
    damage(tmp_path)
    with pytest.raises(InvalidInput, match=message) as raised:
        open_model(tmp_path, "auto")
    assert str(tmp_path) in str(raised.value)
