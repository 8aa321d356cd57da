"""Several processes under torchrun, with DeepSpeed on gloo."""

import json
import os
import signal

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM

from support.tiny import prepared_workspace, run_file, some_rows, tiny_model
from support.training import (
    arm_dir,
    checkpoints,
    losses,
    metrics,
    start,
    train,
    wait_for_step,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def a_run(base, tmp_path_factory):
    """Return a maker of runs of 36 steps of 8 rows."""

    def make(*, processes, **training):
        run = run_file(
            tmp_path_factory.mktemp("ws"),
            base,
            training={
                "epochs": 12.0,
                "micro_batch_size": 8 // processes // 2,
                "gradient_accumulation_steps": 2,
                **training,
            },
            compute={"processes_per_node": processes},
        )
        prepared_workspace(run, some_rows(24))
        return run

    return make


@pytest.fixture(scope="module")
def alone(a_run):
    """Return the same training by one process."""
    run = a_run(processes=1)
    train(run)
    return run


def near(wanted):
    return [(step, pytest.approx(loss, abs=1e-4)) for step, loss in wanted]


def assert_same_model(run, other):
    ours, theirs = (
        AutoModelForCausalLM.from_pretrained(arm_dir(one) / "model").state_dict()
        for one in (run, other)
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-3) for name in theirs)


def worker_of_rank(process, rank):
    """Return a worker of torchrun by its rank."""
    for child in psutil.Process(process.pid).children(recursive=True):
        if child.environ().get("RANK") == str(rank):
            return child
    raise AssertionError(f"no rank {rank}")


def finished(process):
    out, complaints = process.communicate()
    assert process.returncode == 0, complaints
    return [json.loads(line) for line in out.splitlines()]


def test_zero_3_shards_everything_and_changes_nothing(a_run, alone):
    run = a_run(processes=2, deepspeed={"stage": 3})
    lines = finished(start(run, processes=2))
    assert [line["event"] for line in lines].count("done") == 1
    assert losses(run) == near(losses(alone))
    assert_same_model(run, alone)
    shards = list((arm_dir(run) / "checkpoints" / "step-36").glob("state-*.safetensors"))
    smaller, larger = sorted(shard.stat().st_size for shard in shards)
    assert larger < 1.2 * smaller, "each process keeps its half"
    rows = metrics(run)
    assert all(0 < row["communication_seconds"] < row["compute_seconds"] for row in rows)


def test_zero_2_stops_when_one_process_is_told_and_goes_on(a_run, alone):
    run = a_run(processes=2, deepspeed={"stage": 2})
    process = start(run, processes=2)
    wait_for_step(process, run, 3)
    os.kill(worker_of_rank(process, 1).pid, signal.SIGTERM)
    out, _ = process.communicate()
    end = json.loads(out.splitlines()[-1])
    last = losses(run)[-1][0]
    assert (end["reason"], end["code"]) == ("Stopped", 75)
    assert f"step-{last}" in checkpoints(run)
    assert last < 36

    finished(start(run, processes=2))
    assert losses(run) == near(losses(alone))
    assert_same_model(run, alone)
