from dataclasses import replace

import pytest

from support.runs import make_run
from uncensor_operator.plan.estimates import estimate
from uncensor_operator.plan.observed import DataFacts, Machine, ModelFacts, Observed
from uncensor_trainer.runfile import CheckpointSettings, Compute, TrainingSettings

GIB = 2**30
SMALL = ModelFacts(parameters=134_515_008, hidden_size=576, layers=30, vocabulary=49_152)
SEVEN_B = ModelFacts(parameters=6_738_415_616, hidden_size=4096, layers=32, vocabulary=32_000)
LAPTOP = Machine(cores=2, memory_bytes=24 * GIB, disk_bytes=80 * GIB)
QUICK = TrainingSettings(
    max_length=128,
    precision="fp32",
    gradient_checkpointing=False,
    epochs=2,
    micro_batch_size=8,
    gradient_accumulation_steps=2,
    checkpoints=CheckpointSettings(keep_latest=1),
)


def test_nothing_is_estimated_before_the_model_is_known():
    assert estimate(make_run(), Observed(LAPTOP)) is None


def test_a_small_model_fits_a_laptop():
    found = estimate(make_run(training=QUICK), Observed(LAPTOP, model=SMALL))
    assert found.memory_fits
    # Weights, gradients and two moments alone.
    assert found.memory_bytes > 16 * SMALL.parameters
    assert found.disk_fits


def test_seven_billion_parameters_do_not():
    found = estimate(make_run(), Observed(LAPTOP, model=SEVEN_B))
    assert not found.memory_fits
    assert not found.disk_fits


def test_zero_3_divides_weights_gradients_and_moments_by_the_processes():
    machine = replace(LAPTOP, gpus=4, gpu_memory_bytes=80 * GIB)
    few, many = (
        make_run(compute=Compute(processes_per_node=number, gpus_per_node=number))
        for number in (2, 8)
    )
    observed = Observed(machine, model=SEVEN_B)
    of_few, of_many = (estimate(run, observed).memory for run in (few, many))
    for part in ("weights", "gradients", "optimizer"):
        assert getattr(of_many, part) == pytest.approx(getattr(of_few, part) / 4)


def test_a_second_arm_doubles_checkpoints_and_time_but_not_memory():
    data = DataFacts(size_bytes=10_000, rows=100, tokens=5_000)
    observed = Observed(LAPTOP, model=SMALL, data=data)
    one = estimate(make_run(training=QUICK), observed)
    two = estimate(make_run(training=QUICK.model_copy(update={"control": True})), observed)
    assert two.train_seconds == 2 * one.train_seconds
    assert two.memory_bytes == one.memory_bytes
    assert two.disk_bytes > 1.7 * one.disk_bytes


def test_steps_come_from_the_rows_that_the_filter_kept():
    data = DataFacts(size_bytes=10_000, rows=100, tokens=5_000)
    assert estimate(make_run(training=QUICK), Observed(LAPTOP, model=SMALL, data=data)).steps == 13


def test_a_measured_speed_replaces_the_assumed_one():
    observed = Observed(LAPTOP, model=SMALL, data=DataFacts(46_000), tokens_per_second=100.0)
    found = estimate(make_run(training=QUICK), observed)
    assert found.measured
    assert found.train_seconds == 200
