import os
import warnings

import pytest

from support.tiny import run_file
from uncensor_trainer.data.batches import RankBatches
from uncensor_trainer.engine import (
    Split,
    choose_engine,
    deepspeed_config,
    flight_recorder,
    prepare_process,
    split_batch,
)
from uncensor_trainer.exits import InvalidInput


def a_run(tmp_path, *, micro=4, accumulation=2, processes=2, **training):
    return run_file(
        tmp_path,
        tmp_path,
        training={
            "micro_batch_size": micro,
            "gradient_accumulation_steps": accumulation,
            **training,
        },
        compute={"processes_per_node": processes},
    )


@pytest.mark.parametrize(
    ("processes", "micro_batch", "accumulation"),
    [
        pytest.param(2, 4, 2, id="as planned"),
        pytest.param(1, 4, 4, id="fewer processes accumulate more"),
        pytest.param(4, 4, 1, id="more processes accumulate less"),
        pytest.param(8, 2, 1, id="many processes get smaller micro-batches"),
    ],
)
def test_the_global_batch_stays_whatever_the_processes(
    tmp_path, processes, micro_batch, accumulation
):
    split = split_batch(a_run(tmp_path), processes)
    assert split == Split(micro_batch, accumulation, processes)
    assert split.global_batch == 16


def test_an_impossible_split_names_the_possible_ones(tmp_path):
    with pytest.raises(InvalidInput, match=r"3 processes .* 16 rows .*: 1, 2, 4, 8, 16\."):
        split_batch(a_run(tmp_path), 3)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_any_number_of_processes_reads_the_same_rows_in_each_step(processes, mixed):
    split = Split(2, 4 // processes, processes)
    steps = [set(), set(), set()]
    for rank in range(processes):
        for number, positions in enumerate(RankBatches(split, 3, rank, mixed=mixed)):
            steps[number // split.accumulation].update(positions)
    assert steps == [set(range(8)), set(range(8, 16)), set(range(16, 24))]


def test_processes_handle_rows_of_neighbouring_lengths_at_the_same_time():
    split = Split(micro_batch=2, accumulation=2, processes=2)
    first = [next(iter(RankBatches(split, 1, rank))) for rank in (0, 1)]
    assert first == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("processes", "gpu", "settings", "deepspeed"),
    [
        pytest.param(1, False, {}, False, id="a CPU alone"),
        pytest.param(2, False, {}, True, id="two CPU processes"),
        pytest.param(1, True, {}, False, id="a GPU alone"),
        pytest.param(2, True, {}, True, id="two GPUs"),
        pytest.param(1, True, {"precision": "fp16"}, True, id="a GPU that scales"),
        pytest.param(1, True, {"method": "lora"}, True, id="a GPU with frozen weights"),
        pytest.param(1, True, {"deepspeed": {"offload": "all"}}, True, id="a GPU that offloads"),
    ],
)
def test_deepspeed_runs_where_it_saves_something(tmp_path, processes, gpu, settings, deepspeed):
    training = a_run(tmp_path, **{"precision": "bf16", **settings}).training
    engine = choose_engine(training, Split(1, 1, processes), gpu=gpu)
    assert (engine.deepspeed is not None) == deepspeed


def test_a_gpu_alone_is_no_member_of_a_group(tmp_path, monkeypatch):
    """torchrun says LOCAL_RANK to a lone process too, and a wrapper for many would follow."""
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setattr(warnings, "filterwarnings", lambda *_, **__: None)
    for name in flight_recorder(tmp_path):
        monkeypatch.setenv(name, "")
    training = a_run(tmp_path, precision="bf16").training
    prepare_process(choose_engine(training, Split(1, 1, 1), gpu=True), tmp_path)
    assert "LOCAL_RANK" not in os.environ


def test_a_hang_leaves_the_last_operations_of_nccl_beside_the_stacks(tmp_path):
    told = flight_recorder(tmp_path)
    assert told["TORCH_NCCL_DUMP_ON_TIMEOUT"] == "1"
    for size in ("TORCH_NCCL_TRACE_BUFFER_SIZE", "TORCH_FR_BUFFER_SIZE"):
        assert int(told[size]) >= 2000
    for place in ("TORCH_NCCL_DEBUG_INFO_TEMP_FILE", "TORCH_FR_DUMP_TEMP_FILE"):
        assert told[place] == str(tmp_path / "nccl-rank")


def test_deepspeed_is_told_every_number_and_no_optimizer(tmp_path):
    training = a_run(tmp_path, max_grad_norm=0.5, precision="bf16").training
    config = deepspeed_config(training, Split(4, 2, 2), gpu=False)
    assert (config["train_batch_size"], config["gradient_accumulation_steps"]) == (16, 2)
    assert (config["gradient_clipping"], config["bf16"]["enabled"]) == (0.5, True)
    assert config["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"]
    assert not {"optimizer", "scheduler"} & config.keys()
    assert "auto" not in str(config)


@pytest.mark.parametrize(("stage", "offload"), [(0, "optimizer"), (2, "all")])
def test_offloading_nothing_is_refused(tmp_path, stage, offload):
    training = a_run(tmp_path, deepspeed={"stage": stage, "offload": offload}).training
    with pytest.raises(InvalidInput, match="Raise the stage"):
        deepspeed_config(training, Split(1, 1, 2), gpu=False)


def test_half_precision_without_a_gpu_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="fp16 needs a GPU"):
        choose_engine(a_run(tmp_path, precision="fp16").training, Split(1, 1, 1), gpu=False)


def test_a_cpu_computes_in_bf16_only_where_it_has_the_instructions(tmp_path):
    import torch

    has_bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    engine = choose_engine(a_run(tmp_path, precision="bf16").training, Split(1, 1, 1), gpu=False)
    assert engine.computes == ("bf16" if has_bf16 else "fp32")
    assert engine.weight_type == torch.float32
