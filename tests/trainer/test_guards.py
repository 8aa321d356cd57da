import math

import pytest

from support.tiny import run_file
from uncensor_trainer.exits import ExitCode, WorkspaceFailure
from uncensor_trainer.guards import (
    FP16_SKIPS_IN_A_ROW,
    FiniteGuard,
    Footprint,
    checkpoint_bytes,
    free_memory,
    model_bytes,
    numeric_failure,
    refuse_full_disk,
)

MILLION = 1_000_000


def a_footprint(
    *, parameters=7000 * MILLION, trainable=7000 * MILLION, processes=1, deepspeed=True
):
    return Footprint(
        parameters=parameters,
        trainable=trainable,
        processes=processes,
        deepspeed=deepspeed,
        micro_batch=8,
        longest=2048,
        vocabulary=32_000,
        hidden=4096,
        layers=32,
    )


def settings(tmp_path, *, keep_latest=3, **training):
    checkpoints = {"every_steps": 1, "every_minutes": 0, "keep_latest": keep_latest}
    return run_file(tmp_path, tmp_path, training={"checkpoints": checkpoints, **training}).training


@pytest.mark.parametrize(
    ("shape", "training", "checkpoint", "model"),
    [
        pytest.param(a_footprint(), {"precision": "bf16"}, 84e9, 14e9, id="bf16 under ZeRO"),
        pytest.param(a_footprint(), {"precision": "fp32"}, 84e9, 28e9, id="fp32 under ZeRO"),
        pytest.param(
            a_footprint(deepspeed=False), {"precision": "bf16"}, 84e9, 28e9, id="autocast"
        ),
        pytest.param(
            a_footprint(trainable=10 * MILLION),
            {"precision": "bf16", "method": "lora"},
            120e6,
            14.04e9,
            id="adapters only",
        ),
    ],
)
def test_disk_is_counted_by_what_is_trained(tmp_path, shape, training, checkpoint, model):
    training = settings(tmp_path, **training)
    assert checkpoint_bytes(shape) == checkpoint
    assert model_bytes(shape, training) == model


def test_a_full_disk_is_told_before_the_first_step_with_numbers(tmp_path):
    training = settings(tmp_path, keep_latest=10**6)
    with pytest.raises(WorkspaceFailure, match=r"1000001 checkpoints of 78\.2 GiB.* free") as told:
        refuse_full_disk(tmp_path, a_footprint(), training, existing=0)
    assert told.value.code is ExitCode.WORKSPACE_FAILURE


def test_checkpoints_that_are_there_are_not_counted_twice(tmp_path):
    training = settings(tmp_path, keep_latest=10**9)
    shape = a_footprint(parameters=MILLION, trainable=MILLION)
    with pytest.raises(WorkspaceFailure):
        refuse_full_disk(tmp_path, shape, training, existing=0)
    there = 10**9 * checkpoint_bytes(shape)
    assert "there already" in refuse_full_disk(tmp_path, shape, training, existing=there)


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [
        pytest.param("1000\n", "900\n", 400, id="pages of files are given back"),
        pytest.param("1000\n", "1500\n", 0, id="over the limit"),
        pytest.param("max\n", "900\n", None, id="no limit"),
    ],
)
def test_the_limit_of_a_container_counts(tmp_path, monkeypatch, limit, used, free):
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text(used)
    (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 300\n")
    monkeypatch.setattr("uncensor_trainer.guards.CGROUP", tmp_path)
    if free is None:
        assert free_memory() > 10**6
    else:
        assert free_memory() == free


@pytest.mark.parametrize(
    ("loss", "grad_norm", "broken"),
    [
        (1.0, 2.0, False),
        (math.nan, 2.0, True),
        (math.inf, 2.0, True),
        (1.0, math.nan, True),
        (1.0, math.inf, True),
    ],
)
def test_any_number_that_is_not_finite_breaks_a_step(loss, grad_norm, broken):
    assert FiniteGuard(fp16=False).is_broken(loss, grad_norm) == broken


def test_fp16_may_skip_steps_but_not_for_ever():
    guard = FiniteGuard(fp16=True)
    for _ in range(FP16_SKIPS_IN_A_ROW):
        assert not guard.is_broken(1.0, math.inf)
    assert guard.is_broken(1.0, math.inf)


def test_a_good_step_forgets_the_skipped_ones():
    guard = FiniteGuard(fp16=True)
    for _ in range(FP16_SKIPS_IN_A_ROW):
        guard.is_broken(1.0, math.inf)
    assert not guard.is_broken(1.0, 1.0)
    assert not guard.is_broken(1.0, math.inf)


def test_a_numeric_failure_names_step_and_rows():
    error = numeric_failure(7, math.nan, 1.0, [("b", 9), ("a", 3), ("a", 1)])
    assert error.code is ExitCode.NUMERIC_FAILURE
    assert "At step 7 training broke: the loss is nan" in str(error)
    assert "b 9; a 1, 3" in str(error)
