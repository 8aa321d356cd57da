import json
import math
import re

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from support.tiny import prepared_workspace, run_file, some_rows, tiny_model
from support.training import arm_dir, checkpoints, losses, metrics, train
from uncensor_trainer.data.order import sample_order
from uncensor_trainer.data.store import TokenStore
from uncensor_trainer.exits import InvalidInput, NumericFailure, StopRequested, WorkspaceFailure
from uncensor_trainer.loop import Loop
from uncensor_trainer.losses import LossHead

EVERY_3 = {"every_steps": 3, "every_minutes": 0, "keep_latest": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def a_run(tmp_path, base):
    """Return a maker of runs over 24 prepared rows: 6 steps of 4 rows."""

    def make(name="one", *, rows=24, unfiltered=(), digest="0", compute=None, **training):
        run = run_file(
            tmp_path / name, base, training=training, digest=digest, compute=compute or {}
        )
        prepared_workspace(run, some_rows(rows), unfiltered)
        return run

    return make


def weights(folder):
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def test_a_trained_model_is_whole_and_has_learnt(a_run, base):
    run = a_run(epochs=4.0)
    lines = train(run)
    summary = lines[-1]["summary"]
    out = arm_dir(run) / "model"
    model = AutoModelForCausalLM.from_pretrained(out)
    rows = losses(run)
    assert [step for step, _ in rows] == list(range(1, 25))
    assert rows[-1][1] < rows[0][1] - 0.5
    assert summary["parameters"] == model.num_parameters() == 27_712
    assert (summary["steps"], summary["finalLoss"]) == (24, rows[-1][1])
    assert any((weights(out)[name] != was).any() for name, was in weights(base).items())


def test_what_a_training_needs_is_told_before_it_begins_and_kept_beside_what_it_took(a_run):
    lines = train(a_run())
    first = next(n for n, line in enumerate(lines) if line["event"] == "progress")
    (told,) = [line["message"] for line in lines[:first] if "Needs" in line.get("message", "")]
    assert re.search(r"Needs .* on disk \(3 checkpoints of .*the model .*there already\)", told)
    assert re.search(r"memory a process \(process .*weights .*optimizer .*memory free\.", told)
    summary = lines[-1]["summary"]
    assert summary["memoryEstimateBytes"] > 700 * 2**20
    assert summary["peakMemoryBytes"] > 0


def test_an_exported_model_generates_and_reads_text_like_its_base(a_run, base):
    run = a_run()
    train(run)
    out = arm_dir(run) / "model"
    theirs, ours = (AutoTokenizer.from_pretrained(folder) for folder in (base, out))
    assert ours("Hello there, you!") == theirs("Hello there, you!")
    assert ours.chat_template == theirs.chat_template
    config = json.loads((out / "config.json").read_text())
    was = json.loads((base / "config.json").read_text())
    assert {key for key in was if was[key] != config.get(key)} == set()
    assert (out / "generation_config.json").exists()
    assert not list(out.glob("*.bin"))
    assert {oct(path.stat().st_mode)[-3:] for path in out.glob("*.safetensors")} == {"644"}


def test_the_first_loss_is_the_mean_over_all_loss_tokens_of_the_batch(a_run, base):
    run = a_run(micro_batch_size=2, gradient_accumulation_steps=2)
    train(run)
    store = TokenStore.open(arm_dir(run) / "prepared" / "filtered")
    first = sample_order(store.lengths, steps=6, global_batch=4, seed=42)[:4]
    model = AutoModelForCausalLM.from_pretrained(base)
    total, count = 0.0, 0
    for index in first:
        ids, labels = (torch.from_numpy(part)[None] for part in store.row(index))
        tokens = int((labels[:, 1:] != -100).sum())
        total += model(input_ids=ids, labels=labels).loss.item() * tokens
        count += tokens
    assert losses(run)[0][1] == pytest.approx(total / count, abs=1e-5)


def test_accumulating_changes_nothing(a_run):
    at_once = a_run("at-once", micro_batch_size=4)
    bit_by_bit = a_run("bit-by-bit", micro_batch_size=1, gradient_accumulation_steps=4)
    train(at_once)
    train(bit_by_bit)
    assert losses(at_once) == [
        (step, pytest.approx(loss, abs=1e-4)) for step, loss in losses(bit_by_bit)
    ]


def test_every_row_of_metrics_keeps_the_contract(a_run):
    run = a_run(epochs=2.0)
    train(run)
    rows = metrics(run)
    named = {"step", "epoch", "loss", "learning_rate", "grad_norm", "tokens_per_second", "time"}
    timed = {"step_seconds", "data_seconds", "compute_seconds", "optimizer_seconds"}
    assert {frozenset(row) for row in rows} == {
        frozenset(named | timed | {"mfu", "goodput", "peak_memory_bytes"})
    }
    assert all(row["compute_seconds"] <= row["step_seconds"] for row in rows)
    assert {row.pop("mfu") for row in rows} == {None}, "nobody says what a CPU can do"
    assert [row["epoch"] for row in rows][:3] == [round(step / 6, 6) for step in (1, 2, 3)]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert json.loads((arm_dir(run) / "heartbeat.json").read_text())["step"] >= 1


def test_the_control_arm_trains_as_many_steps_on_its_own_rows(a_run):
    run = a_run(control=True, unfiltered=some_rows(40, dataset="all"))
    train(run)
    train(run, stage="train-control")
    assert len(metrics(run, "control")) == len(metrics(run)) == 6
    assert (arm_dir(run, "control") / "model" / "model.safetensors").exists()
    assert losses(run, "control") != losses(run)


@pytest.mark.parametrize(
    "training",
    [
        pytest.param({"precision": "bf16"}, id="bf16"),
        pytest.param({"gradient_checkpointing": True}, id="gradient checkpointing"),
        pytest.param({"schedule": "linear", "weight_decay": 0.1}, id="linear"),
    ],
)
def test_variants_learn_too(a_run, training):
    run = a_run(epochs=3.0, **training)
    train(run)
    assert losses(run)[-1][1] < losses(run)[0][1]
    assert weights(arm_dir(run) / "model")["lm_head.weight"].dtype == torch.float32


LORA = {"method": "lora", "lora": {"rank": 4}, "learning_rate": 0.01}


def test_lora_leaves_an_adapter_and_the_merged_model(a_run, base):
    run = a_run(**LORA)
    train(run)
    out = arm_dir(run) / "model"
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), out / "adapter")
    merged = AutoModelForCausalLM.from_pretrained(out)
    ids = torch.arange(2, 30)[None]
    with torch.no_grad():
        wanted, found = adapted(ids).logits, merged(ids).logits
        before = AutoModelForCausalLM.from_pretrained(base)(ids).logits
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(found, before, atol=1e-3)


@pytest.mark.parametrize("training", [{}, {"packing": "on"}, LORA], ids=["full", "packed", "lora"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(a_run, training):
    whole = a_run("whole", epochs=2.0, **training)
    stopped = a_run("stopped", epochs=2.0, **training)
    train(whole)
    for step in (4, 8):
        with pytest.raises(StopRequested, match=rf"SIGTERM after step {step} of 12"):
            train(stopped, stop_at=step - 1)
        assert f"step-{step}" in checkpoints(stopped)
    train(stopped)
    assert losses(stopped) == losses(whole)
    one, two = (weights(arm_dir(run) / "model") for run in (stopped, whole))
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_half_the_micro_batch_and_double_accumulation_go_on_where_it_was(a_run):
    """What the operator does after a process ran out of memory."""
    whole, stopped = a_run("whole", epochs=2.0), a_run("stopped", epochs=2.0)
    train(whole)
    with pytest.raises(StopRequested):
        train(stopped, stop_at=4)
    halved = a_run("stopped", epochs=2.0, micro_batch_size=2, gradient_accumulation_steps=2)
    train(halved)
    assert losses(halved)[:5] == losses(whole)[:5]
    assert losses(halved) == [(step, pytest.approx(loss, abs=1e-5)) for step, loss in losses(whole)]


def test_another_global_batch_is_refused_with_the_right_one(a_run):
    with pytest.raises(StopRequested):
        train(a_run(epochs=2.0), stop_at=4)
    with pytest.raises(InvalidInput, match=r"batch of 4 rows, this attempt has 8.*BatchSize to 4"):
        train(a_run(epochs=4.0, micro_batch_size=8))


def test_a_checkpoint_of_another_version_is_refused(a_run, monkeypatch):
    with pytest.raises(StopRequested):
        train(a_run(epochs=2.0), stop_at=4)
    monkeypatch.setattr("uncensor_trainer.stages.train.STATE_VERSION", 99)
    with pytest.raises(InvalidInput, match="written by another version"):
        train(a_run(epochs=2.0))


def test_a_damaged_checkpoint_costs_steps_but_not_the_run(a_run):
    whole = a_run("whole", checkpoints=EVERY_3)
    damaged = a_run("damaged", checkpoints=EVERY_3)
    train(whole)
    with pytest.raises(StopRequested):
        train(damaged, stop_at=4)
    (state,) = (arm_dir(damaged) / "checkpoints" / "step-5").glob("*.safetensors")
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    notes = [line["message"] for line in train(damaged) if line["event"] == "note"]
    assert "step-5 is not used: state-00001-of-00001.safetensors does not" in notes[0]
    assert "Going on from the checkpoint of step 3" in notes[1]
    assert losses(damaged) == losses(whole)


def test_checkpoints_come_every_so_many_steps_and_at_the_end(a_run):
    run = a_run(rows=28, checkpoints={**EVERY_3, "keep_latest": 9})
    train(run)
    assert checkpoints(run) == ["step-3", "step-6", "step-7"]
    manifest = json.loads((arm_dir(run) / "checkpoints" / "step-6" / "manifest.json").read_text())
    assert (manifest["step"], manifest["dataPosition"], manifest["globalBatch"]) == (6, 24, 4)
    assert (manifest["epoch"], manifest["seed"]) == (pytest.approx(24 / 28), 42)


def test_state_of_changed_settings_is_archived_and_training_begins_again(a_run):
    train(a_run(digest="a"))
    changed = a_run(digest="b", learning_rate=1e-4)
    lines = train(changed)
    assert "The settings changed" in lines[0]["message"]
    assert [step for step, _ in losses(changed)] == list(range(1, 7))
    archived = {path.name for path in (arm_dir(changed) / "archive").iterdir()}
    assert {"checkpoints-step-6.1", "metrics.jsonl.1", "model.1"} <= archived


def test_a_killed_export_repeats_the_export_only(a_run):
    run = a_run()
    train(run)
    before = losses(run)
    (arm_dir(run) / "model" / "stage.json").unlink()
    assert not [line for line in train(run) if line["event"] == "progress"]
    assert losses(run) == before
    assert (arm_dir(run) / "model" / "stage.json").exists()


@pytest.fixture
def poison(monkeypatch):
    """Return a list of steps whose loss, and so every gradient and weight, becomes no number."""
    steps, calls, now = [], iter(range(1, 10_000)), [0]
    step, summed = Loop.training_step, LossHead.summed

    def counted(self, *args, **kwargs):
        now[0] = next(calls)
        return step(self, *args, **kwargs)

    def poisoned(self, *args):
        loss = summed(self, *args)
        return loss * math.nan if now[0] in steps else loss

    monkeypatch.setattr(Loop, "training_step", counted)
    monkeypatch.setattr(LossHead, "summed", poisoned)
    return steps


def test_a_broken_step_is_undone_and_its_rows_are_skipped(a_run, poison):
    run = a_run(epochs=3.0, checkpoints=EVERY_3)
    poison.append(8)
    lines = train(run)
    (event,) = [line for line in lines if line["event"] == "rolled-back"]
    assert (event["step"], event["to"], event["loss"]) == (8, 6, "nan")
    (note,) = [line["message"] for line in lines if "Went back" in line.get("message", "")]
    assert "the rows of steps 7 to 8 are skipped" in note
    assert [step for step, _ in losses(run)] == [n for n in range(1, 19) if n != 8]
    assert all(math.isfinite(loss) for _, loss in losses(run))
    assert losses(run)[-1][1] < losses(run)[0][1]


def test_what_was_undone_leaves_nothing_behind(a_run, poison):
    run = a_run(epochs=3.0, checkpoints=EVERY_3)
    poison.append(8)
    train(run)
    folder = arm_dir(run) / "checkpoints"
    counters = json.loads((folder / "step-18" / "counters.json").read_text())
    assert counters["watch"]["rollBacks"] == [[6, 8]]
    # Two of the eighteen steps did not happen for the optimizer, but the schedule ran to its end.
    assert counters["optimizerStep"] == 16
    assert counters["scheduler"]["last_epoch"] == 18


def test_a_loss_that_stays_no_number_ends_the_run_and_names_the_rows(a_run):
    run = a_run(learning_rate=1e30, warmup_steps=0, checkpoints={**EVERY_3, "every_steps": 1})
    with pytest.raises(NumericFailure) as told:
        train(run)
    message = str(told.value)
    assert "At step 5 training broke" in message
    assert "gradient norm nan" in message
    assert "Going back did not help (from step 2 to 1, from step 3 to 2, " in message
    assert re.search(r"rows of that batch: greetings \d+, \d+, \d+, \d+\.", message)


def test_without_a_checkpoint_to_go_back_to_a_broken_step_is_the_end(a_run, poison):
    poison.append(2)
    with pytest.raises(NumericFailure, match=r"At step 2 training broke: the loss is nan"):
        train(a_run())


def test_a_disk_that_cannot_hold_the_checkpoints_is_told_before_training(a_run):
    run = a_run(checkpoints={**EVERY_3, "keep_latest": 10**9})
    with pytest.raises(WorkspaceFailure, match="Training needs"):
        train(run)
    assert metrics(run) == []


def test_rows_damaged_on_the_disk_are_told_before_training(a_run):
    run = a_run()
    tokens = arm_dir(run) / "prepared" / "filtered" / "tokens.bin"
    tokens.write_bytes(bytes(tokens.stat().st_size))
    with pytest.raises(WorkspaceFailure, match=r"tokens\.bin does not have the bytes"):
        train(run)
