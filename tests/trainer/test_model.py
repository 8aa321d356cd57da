import json

import pytest
import torch

from support.tiny import run_file, tiny_model
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.model import load_model, num_parameters


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


def settings(base, **training):
    return run_file(base, base, training=training).training


def test_a_folder_without_a_model_is_told_by_name(tmp_path):
    with pytest.raises(InvalidInput, match=f"The model in {tmp_path} cannot be loaded"):
        load_model(tmp_path, settings(tmp_path), torch.float32)


def test_full_training_trains_every_parameter(base):
    model = load_model(base, settings(base), torch.float32)
    assert num_parameters(model) == num_parameters(model, trainable_only=True) > 0


def test_lora_trains_its_adapters_only(base):
    lora = {"method": "lora", "lora": {"rank": 2, "target_modules": ["q_proj"]}}
    model = load_model(base, settings(base, **lora), torch.float32)
    per_layer = 2 * (32 + 32)
    assert num_parameters(model, trainable_only=True) == 2 * per_layer


def test_modules_that_the_model_lacks_are_told(base):
    lora = {"method": "lora", "lora": {"target_modules": ["no_such_module"]}}
    with pytest.raises(InvalidInput, match=r"no_such_module.*all-linear"):
        load_model(base, settings(base, **lora), torch.float32)


def test_sampling_settings_of_a_greedy_model_do_not_stop_its_export(tmp_path):
    folder = tiny_model(tmp_path / "model")
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "temperature": 0.6}))
    load_model(folder, settings(folder), torch.float32).save_pretrained(tmp_path / "out")
    assert json.loads((tmp_path / "out/generation_config.json").read_text())["temperature"] == 0.6
