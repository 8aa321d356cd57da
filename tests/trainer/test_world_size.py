"""One training, continued by other numbers of processes and other ZeRO stages."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from support.ranks import Ranks
from support.tiny import prepared_workspace, run_file, some_rows, tiny_model
from support.training import arm_dir, checkpoints, losses, train

STEPS = 12
GLOBAL_BATCH = 8
LORA = {"method": "lora", "lora": {"rank": 4}, "learning_rate": 0.005}


@pytest.fixture(scope="module")
def ranks():
    with Ranks() as server:
        yield server


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def a_run(base, tmp_path_factory):
    """Return a maker of workspaces; the run file is made anew for each attempt, as a plan does."""

    def make():
        folder = tmp_path_factory.mktemp("ws")
        prepared_workspace(attempt(folder, base, processes=1), some_rows(24))
        return folder

    return make


def attempt(folder, base, *, processes, stage=2, micro=4, **training):
    """Return the run file of an attempt: 12 steps of 8 rows, whatever the processes."""
    return run_file(
        folder,
        base,
        training={
            "epochs": 4.0,
            "micro_batch_size": min(micro, GLOBAL_BATCH // processes),
            "gradient_accumulation_steps": GLOBAL_BATCH
            // processes
            // min(micro, GLOBAL_BATCH // processes),
            "deepspeed": {"stage": stage},
            **training,
        },
        compute={"processes_per_node": processes},
    )


@pytest.fixture(scope="module")
def undisturbed(a_run, base):
    run = attempt(a_run(), base, processes=1)
    train(run)
    return losses(run)


@pytest.fixture(scope="module")
def adapters_alone(a_run, base):
    """Return the training of an adapter by one process."""
    run = attempt(a_run(), base, processes=1, **LORA)
    train(run)
    return run


@pytest.mark.parametrize(
    "attempts",
    [
        pytest.param([(1, 2), (2, 2), (4, 2), (1, 2)], id="ZeRO-2 on 1, 2, 4, 1 processes"),
        pytest.param([(2, 3), (4, 3), (2, 3), (1, 3)], id="ZeRO-3 on 2, 4, 2, 1 processes"),
        pytest.param([(2, 3), (2, 1), (4, 3)], id="from stage 3 to 1 to 3"),
    ],
)
def test_other_processes_go_on_with_the_same_rows_and_losses(
    ranks, a_run, base, undisturbed, attempts
):
    folder, share = a_run(), STEPS // len(attempts)
    for number, (processes, stage) in enumerate(attempts):
        last = number == len(attempts) - 1
        run = attempt(folder, base, processes=processes, stage=stage)
        lines = ranks.attempt(run, processes, stop_at=None if last else share * (number + 1) - 1)
        notes = " ".join(line["message"] for line in lines if line["event"] == "note")
        assert ("go on with it" in notes) == (number > 0)
    assert losses(run) == [(step, pytest.approx(loss, abs=1e-3)) for step, loss in undisturbed]


@pytest.mark.parametrize(("processes", "stage"), [(2, 2), (2, 3)])
def test_the_same_processes_go_on_bit_by_bit(ranks, a_run, base, processes, stage):
    whole, stopped = a_run(), a_run()
    for step in (3, 7):
        ranks.attempt(
            attempt(stopped, base, processes=processes, stage=stage), processes, stop_at=step
        )
    for folder in (whole, stopped):
        run = attempt(folder, base, processes=processes, stage=stage)
        ranks.attempt(run, processes)
    assert losses(attempt(stopped, base, processes=2)) == losses(attempt(whole, base, processes=2))


@pytest.mark.parametrize("stage", [2, 3])
def test_adapters_of_several_processes_go_on_and_are_exported_whole(
    ranks, a_run, base, adapters_alone, stage
):
    run = attempt(a_run(), base, processes=2, stage=stage, **LORA)
    ranks.attempt(run, 2, stop_at=5)
    assert "step-6" in checkpoints(run)
    assert not (arm_dir(run) / "model").exists()
    lines = ranks.attempt(run, 2)
    assert any(
        "Going on from the checkpoint of step 6" in line.get("message", "") for line in lines
    )
    wanted = losses(adapters_alone)
    assert wanted[-1][1] < wanted[0][1] - 0.05
    assert losses(run) == [(step, pytest.approx(loss, abs=1e-3)) for step, loss in wanted]

    out, ids = arm_dir(run) / "model", torch.arange(2, 30)[None]
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), out / "adapter")
    merged, alone = (
        AutoModelForCausalLM.from_pretrained(folder)
        for folder in (out, arm_dir(adapters_alone) / "model")
    )
    with torch.no_grad():
        one, other, third = (model(ids).logits for model in (adapted, merged, alone))
    assert torch.allclose(one, other, atol=1e-5)
    assert torch.allclose(other, third, atol=1e-2)
