from dataclasses import replace

import pytest

from support.tiny import run_file
from uncensor_trainer.memory import (
    FULL,
    GIB,
    LOGIT_COPIES,
    LOGITS_AT_ONCE,
    Load,
    adapter_parameters,
    memory_of,
)

SEVEN_B = Load(
    parameters=6_738_415_616,
    trainable=6_738_415_616,
    hidden=4096,
    layers=32,
    vocabulary=32_000,
    tokens=8 * 2048,
    processes=4,
    deepspeed=True,
)
ALONE = replace(SEVEN_B, processes=1, deepspeed=False)


def settings(tmp_path, **training):
    return run_file(tmp_path, tmp_path, training={"precision": "bf16", **training}).training


@pytest.mark.parametrize(
    ("stage", "divided"),
    [
        (0, set()),
        (1, {"optimizer"}),
        (2, {"optimizer", "gradients"}),
        (3, {"optimizer", "gradients", "weights"}),
    ],
)
def test_each_zero_stage_divides_one_part_more(tmp_path, stage, divided):
    training = settings(tmp_path, deepspeed={"stage": stage})
    whole = memory_of(replace(SEVEN_B, processes=1), training)
    shared = memory_of(SEVEN_B, training)
    for part in ("weights", "gradients", "optimizer"):
        expected = getattr(whole, part) // (4 if part in divided else 1)
        assert getattr(shared, part) == expected


def test_a_7b_model_on_four_gpus_takes_what_deepspeed_itself_says(tmp_path):
    """28.7 GB a GPU for the states alone (facts-training.md 2.4, DeepSpeed's own estimator)."""
    found = memory_of(SEVEN_B, settings(tmp_path, deepspeed={"stage": 3}))
    states = found.weights + found.gradients + found.optimizer
    assert states / 1e9 == pytest.approx(28.7, rel=0.08)


@pytest.mark.parametrize(
    ("precision", "load", "bytes_a_parameter"),
    [("bf16", SEVEN_B, 16), ("fp32", SEVEN_B, 20), ("bf16", ALONE, 16), ("fp32", ALONE, 16)],
)
def test_states_take_what_their_formats_take(tmp_path, precision, load, bytes_a_parameter):
    found = memory_of(load, settings(tmp_path, precision=precision, deepspeed={"stage": 0}))
    states = found.weights + found.gradients + found.optimizer
    assert states == bytes_a_parameter * load.parameters


def test_checkpointing_keeps_one_vector_a_layer_and_one_whole_layer(tmp_path):
    kept = memory_of(SEVEN_B, settings(tmp_path, gradient_checkpointing=False)).activations
    again = memory_of(SEVEN_B, settings(tmp_path, gradient_checkpointing=True)).activations
    assert again / kept == pytest.approx((32 + 34) / (32 * 34))


def test_logits_do_not_grow_with_the_batch(tmp_path):
    training = settings(tmp_path)
    small, large = (memory_of(replace(SEVEN_B, tokens=n), training) for n in (2048, 32 * 2048))
    assert small.logits == large.logits
    assert large.logits == LOGITS_AT_ONCE * FULL * LOGIT_COPIES + 32_000 * 4096 * FULL


def test_a_gpu_alone_holds_narrow_copies_of_its_weights_and_more_logits(tmp_path):
    training = settings(tmp_path)
    on_cpu, on_gpu = (memory_of(replace(ALONE, gpu=gpu), training) for gpu in (False, True))
    assert on_gpu.weights - on_cpu.weights == 2 * ALONE.parameters
    assert on_gpu.logits > on_cpu.logits


def test_adapters_have_small_gradients_but_the_whole_model_stays(tmp_path):
    training = settings(tmp_path, method="lora", lora={"rank": 16}, deepspeed={"stage": 0})
    load = replace(SEVEN_B, trainable=adapter_parameters(4096, 32, training))
    found = memory_of(load, training)
    assert found.weights == 2 * load.parameters
    assert found.gradients + found.optimizer < GIB
    assert found.logits < memory_of(SEVEN_B, settings(tmp_path)).logits


@pytest.mark.parametrize(
    ("offload", "gone"), [("optimizer", {"optimizer"}), ("all", {"optimizer", "weights"})]
)
def test_what_is_offloaded_is_not_counted(tmp_path, offload, gone):
    training = settings(tmp_path, deepspeed={"stage": 3, "offload": offload})
    parts = memory_of(SEVEN_B, training).parts
    assert {name for name in ("weights", "gradients", "optimizer") if not parts[name]} == gone


def test_background_saves_hold_a_copy_of_the_state(tmp_path):
    training = settings(tmp_path)
    plain = memory_of(SEVEN_B, training)
    copying = memory_of(replace(SEVEN_B, snapshot=True), training)
    assert copying.total - plain.total == 12 * SEVEN_B.parameters // 4


def test_the_sentence_names_every_part_that_takes_something(tmp_path):
    said = memory_of(ALONE, settings(tmp_path)).sentence
    assert "weights 25.1 GiB" in said
    assert "optimizer 50.2 GiB" in said
    assert "buffers" not in said
