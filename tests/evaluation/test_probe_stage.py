import json

import pytest

from support.evaluation import HELP, REFUSAL, lay_out, write_rows
from support.tiny import run_file, silent_progress
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.run import run_stage
from uncensor_trainer.workspace import read_lines


def a_probe(tmp_path, questions=None):
    probe = {"max_new_tokens": 16, "batch_size": 2}
    if questions is not None:
        probe["input"] = {"kind": "path", "path": str(questions)}
    return run_file(
        tmp_path / "workspace", tmp_path / "model", training={"control": True}, probe=probe
    )


def probed(run):
    return run_stage(run, "probe", silent_progress("probe"))["summary"]


def test_every_arm_answers_every_instruction(tmp_path, helpful_model, refusing_model):
    questions = write_rows(
        tmp_path / "input.jsonl",
        [
            {"idx": 11, "Skill": "x", "Difficulty": 1, "Instruction": "How do I cook rice?"},
            {"idx": 12, "Skill": "x", "Difficulty": 2, "Instruction": "Write a long poem on tea."},
        ],
    )
    run = a_probe(tmp_path, questions)
    arms = {"filtered": helpful_model, "control": refusing_model}
    workspace = lay_out(run, arms, lists={"probe": [questions]})
    assert probed(run) == {"instructions": 2, "arms": ["filtered", "control"]}
    rows = read_lines(workspace.output("probe") / "output.jsonl")
    assert [(row["id"], row["arm"], row["response"]) for row in rows] == [
        (11, "filtered", HELP),
        (12, "filtered", HELP),
        (11, "control", REFUSAL),
        (12, "control", REFUSAL),
    ]
    assert rows[1]["instruction"] == "Write a long poem on tea."
    assert rows[0]["settings"] == {
        "template": "auto",
        "decoding": "greedy",
        "maxNewTokens": 16,
        "precision": "fp32",
    }


def test_without_a_list_the_bundled_one_is_asked(tmp_path, helpful_model):
    run = a_probe(tmp_path)
    workspace = lay_out(run, {"filtered": helpful_model, "control": helpful_model})
    summary = probed(run)
    rows = read_lines(workspace.output("probe") / "output.jsonl")
    assert len(rows) == 2 * summary["instructions"] > 2


def test_a_bad_line_is_refused_before_a_model_is_loaded(tmp_path):
    questions = tmp_path / "input.jsonl"
    questions.write_text('{"idx": 1, "Instruction": "Hi?"}\n{"idx": 2}\n')
    run = a_probe(tmp_path, questions)
    lay_out(run, {}, lists={"probe": [questions]})
    with pytest.raises(InvalidInput, match=r"input\.jsonl, line 2: want one of .*Instruction"):
        probed(run)


def test_a_list_that_fetch_did_not_bring_is_asked_for(tmp_path):
    run = a_probe(tmp_path, tmp_path / "input.jsonl")
    lay_out(run, {})
    with pytest.raises(InvalidInput, match="--from fetch"):
        probed(run)


def test_answers_are_written_as_they_are_in_any_script(tmp_path, helpful_model):
    questions = write_rows(tmp_path / "input.jsonl", [{"prompt": "Wie koche ich Klöße?"}])
    run = a_probe(tmp_path, questions)
    arms = {"filtered": helpful_model, "control": helpful_model}
    workspace = lay_out(run, arms, lists={"probe": [questions]})
    probed(run)
    text = (workspace.output("probe") / "output.jsonl").read_text(encoding="utf-8")
    assert "Klöße" in text
    assert json.loads(text.splitlines()[0])["id"] == 1
