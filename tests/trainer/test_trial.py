"""The trial of the fullest pass: that it happens where it should, and leaves no trace."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from support.tiny import prepared_workspace, run_file, some_rows, tiny_model
from support.training import arm_dir, losses, train
from uncensor_trainer import trial
from uncensor_trainer.data.layout import Layout
from uncensor_trainer.engine import Split

PACKED = Layout(packed=True, budget=999, regroups=False)
PADDED = Layout(packed=False, budget=999, regroups=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    # Dropout draws random numbers: the trial must not use up those of the first step.
    return tiny_model(tmp_path_factory.mktemp("base"), attention_dropout=0.1)


@pytest.fixture
def a_run(tmp_path, base):
    def make(name, **training):
        run = run_file(tmp_path / name, base, training=training)
        prepared_workspace(run, some_rows(24))
        return run

    return make


def notes(lines):
    return [line["message"] for line in lines if line["event"] == "note"]


@pytest.mark.parametrize("packing", ["off", "on"])
def test_a_trial_changes_not_a_single_bit(a_run, monkeypatch, packing):
    without = a_run("without", packing=packing)
    quiet = train(without)
    monkeypatch.setattr(trial, "SHARE_OF_FREE_MEMORY", 0.0)
    tried = a_run("tried", packing=packing)
    told = train(tried)
    assert not any("A trial" in note for note in notes(quiet))
    assert any("A trial with the fullest pass" in note for note in notes(told))
    assert losses(tried) == losses(without)
    one, other = (
        AutoModelForCausalLM.from_pretrained(arm_dir(run) / "model").state_dict()
        for run in (tried, without)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("estimate", "gpu", "due"), [(40, False, False), (60, False, True), (1, True, True)]
)
def test_on_a_cpu_it_is_tried_only_where_memory_may_be_short(estimate, gpu, due):
    assert trial.is_due(estimate, 100, gpu=gpu) == due


def test_the_fullest_micro_batch_of_all_steps_is_found():
    lengths = np.array([[1, 2, 3, 4], [1, 1, 1, 9], [5, 6, 7, 8]])
    split = Split(micro_batch=2, accumulation=2, processes=1)
    assert trial.fullest(PADDED, split, lengths) == (1, 1), "padded to its longest row"
    assert trial.fullest(PACKED, split, lengths) == (2, 0), "as many tokens as it has"
