import io
import json

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from support.tiny import tiny_model
from uncensor_trainer.efficiency import StepTimes, Work, peak_flops
from uncensor_trainer.metrics import Schedule, TrainingLog
from uncensor_trainer.model import work_of
from uncensor_trainer.progress import Progress
from uncensor_trainer.workspace import read_lines

SEVEN_B = Work(parameters=6_607_343_616, layers=32, hidden=4096)


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("some card of tomorrow", None),
    ],
)
def test_a_device_is_known_by_its_name(device, peak):
    assert peak_flops(device) == peak


def test_the_published_speed_of_a_7b_model_gives_the_published_utilisation():
    """llm-foundry, 8 x A100-80, 7B at 2048 tokens: 4,641 tokens/s a GPU are an MFU of 64.2 %."""
    a_token = SEVEN_B.flops(np.array([2048])) / 2048
    assert 4641 * a_token / 312e12 == pytest.approx(0.642, abs=0.01)


def test_only_rows_count_and_long_ones_attend_to_more():
    short, long = SEVEN_B.flops(np.array([100] * 20)), SEVEN_B.flops(np.array([2000]))
    assert long > short


@pytest.mark.parametrize("tied", [True, False])
def test_the_output_layer_multiplies_and_the_input_embeddings_do_not(tmp_path, tied):
    folder = tiny_model(tmp_path, tie_word_embeddings=tied)
    model = AutoModelForCausalLM.from_pretrained(folder)
    body = sum(value.numel() for value in model.model.layers.parameters())
    head = model.get_output_embeddings().weight.numel()
    assert work_of(model).parameters == body + head + model.config.hidden_size


def test_parts_of_a_step_are_counted_once():
    times = StepTimes()
    times.add("data", 1.0)
    times.add("data", 0.5)
    with times.part("compute"):
        pass
    taken = times.taken()
    assert taken["data_seconds"] == 1.5
    assert taken.keys() == {"data_seconds", "compute_seconds"}
    assert times.taken() == {}


def test_a_log_tells_utilisation_goodput_and_what_an_operator_shows(tmp_path):
    now = [0.0]
    stream = io.StringIO()
    schedule = Schedule(
        np.array([100, 100]), 4, 8, step_flops=np.array([50.0, 50.0]), peak_flops=100.0
    )
    progress = Progress("train", stream=stream, clock=lambda: now[0], silent=False)
    log = TrainingLog(tmp_path, schedule, progress, clock=lambda: now[0])
    now[0] = 3.0  # loading
    log.restart_clock()
    for step in (1, 2):
        now[0] += 2.0
        log.step(step, loss=1.0, learning_rate=0.1, grad_norm=0.5, parts={"data_seconds": 0.1})
    first, last = read_lines(log.path)
    assert (first["mfu"], first["step_seconds"], first["data_seconds"]) == (0.25, 2.0, 0.1)
    assert (first["goodput"], last["goodput"]) == (0.4, round(4 / 7, 4))
    summary = log.summary()
    assert summary["mfu"] == 0.25
    assert 0 < summary["goodput"] <= 1
    assert summary["peakMemoryBytes"] > 0
    line = json.loads(stream.getvalue().splitlines()[-1])
    assert {"step", "total", "loss", "tokens_per_second", "eta_seconds"} < line.keys()
    assert (line["mfu"], line["epoch"], line["learning_rate"], line["grad_norm"]) == (
        0.25,
        1.0,
        0.1,
        0.5,
    )
