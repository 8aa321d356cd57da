"""What only a GPU can show: the packed kernel, both switches, and the whole stage on one."""

import importlib.util
import json
import signal

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from support.packing import packed_and_alone
from support.tiny import prepared_workspace, run_file, some_rows, tiny_model
from support.training import arm_dir, losses, train
from uncensor_trainer import fusion, varlen
from uncensor_trainer.communication import CommunicationClock
from uncensor_trainer.exits import StopRequested

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    # Compilers and kernels warn about what they themselves do.
    pytest.mark.filterwarnings("ignore"),
]

RAGGED = [2, 5, 9, 30, 64, 129, 500]
SHAPE = {
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
}


def a_model(dtype=torch.bfloat16, **shape):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**{**SHAPE, **shape})).to("cuda", dtype)


def far(one, other):
    """Return the relative distance of two tensors."""
    one, other = one.float(), other.float()
    return ((one - other).norm() / other.norm()).item()


def assert_alike(found, wanted, tolerance=2e-2):
    assert found.loss == pytest.approx(wanted.loss, rel=2e-3)
    for name, value in wanted.gradients.items():
        assert far(found.gradients[name], value) < tolerance, name


def test_the_communication_clock_reads_the_time_of_the_queue():
    matrix = torch.randn(4096, 4096, device="cuda")
    clock = CommunicationClock(gpu=True)
    assert clock.seconds() == 0
    with clock.running():
        for _ in range(20):
            matrix = matrix @ matrix
    once = clock.seconds()
    assert once > 1e-3, "longer than queuing takes"
    assert clock.seconds() == 0


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "gradient checkpointing"])
@pytest.mark.parametrize("heads", [8, 2], ids=["", "grouped queries"])
def test_packed_rows_learn_what_they_learn_alone(heads, checkpointing):
    model = a_model(num_key_value_heads=heads)
    varlen.register()
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    assert varlen.obstacle(model.config, "bf16") is None
    packed, alone = packed_and_alone(model, RAGGED)
    assert_alike(packed, alone)


def test_under_autocast_too():
    model = a_model(torch.float32)
    varlen.register()
    with torch.autocast("cuda", torch.bfloat16):
        packed, alone = packed_and_alone(model, RAGGED)
    assert_alike(packed, alone)


def test_the_test_above_would_see_contamination():
    model = a_model()
    varlen.register()
    together, _ = packed_and_alone(model, [64, 64])
    one_row, _ = packed_and_alone(model, [128])
    assert abs(together.loss - one_row.loss) > 2e-3 * one_row.loss


SWITCHES = [{"torch_compile": True}]
if importlib.util.find_spec("liger_kernel"):
    SWITCHES += [{"liger_kernels": True}]


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "gradient checkpointing"])
@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_joined_kernels_compute_the_same(tmp_path, switch, checkpointing):
    training = run_file(tmp_path, tmp_path, training={"precision": "bf16", **switch}).training
    varlen.register()
    _, wanted = packed_and_alone(a_model(), RAGGED)
    model = a_model()
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    fusion.fuse(model, training, gpu=True)
    packed, alone = packed_and_alone(model, RAGGED)
    assert_alike(packed, wanted, tolerance=3e-2)
    assert_alike(alone, wanted, tolerance=3e-2)


@pytest.fixture
def a_run(tmp_path):
    base = tiny_model(tmp_path / "base", hidden_size=128, intermediate_size=256)

    def make(name, **training):
        told = {
            "precision": "bf16",
            "gradient_accumulation_steps": 2,
            "gradient_checkpointing": True,
            "checkpoints": {"every_steps": 2, "every_minutes": 0, "keep_latest": 2},
            **training,
        }
        run = run_file(tmp_path / name, base, training=told)
        prepared_workspace(run, some_rows(48))
        return run

    return make


def notes(lines):
    return " ".join(line["message"] for line in lines if line["event"] == "note")


@pytest.mark.parametrize(
    "training",
    [{}, {"packing": "off"}, {"gradient_checkpointing": False}, *SWITCHES],
    ids=str,
)
def test_every_way_trains_as_padded_rows_in_float32_do(a_run, training):
    found, wanted = a_run("found", **training), a_run("wanted", precision="fp32", packing="off")
    told = notes(train(found))
    train(wanted)
    assert ("torch_varlen" in told) == (training.get("packing") != "off")
    assert [loss for _, loss in losses(found)] == pytest.approx(
        [loss for _, loss in losses(wanted)], rel=2e-2
    )
    weights = load_file(arm_dir(found) / "model" / "model.safetensors")
    assert {one.dtype for one in weights.values()} == {torch.bfloat16}
    assert not any("_orig_mod" in name for name in weights)
    AutoModelForCausalLM.from_pretrained(arm_dir(found) / "model")
    config = json.loads((arm_dir(found) / "model" / "config.json").read_text())
    assert "torch_varlen" not in json.dumps(config)


def test_a_training_on_a_gpu_goes_on_after_a_stop(a_run):
    whole = a_run("whole")
    train(whole)
    halved = a_run("halved")
    with pytest.raises(StopRequested):
        train(halved, stop_at=3, stop=signal.SIGTERM)
    train(halved)
    assert [loss for _, loss in losses(halved)] == pytest.approx(
        [loss for _, loss in losses(whole)], rel=1e-3
    )
