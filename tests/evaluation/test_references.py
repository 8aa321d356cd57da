import pytest

from support.evaluation import HELP, REFUSAL, a_conversation, lay_out, write_rows
from support.tiny import context, run_file
from uncensor_trainer.data.formats import Message
from uncensor_trainer.evaluation import references
from uncensor_trainer.evaluation.references import find_references, is_clean


@pytest.fixture
def given(tmp_path):
    return write_rows(tmp_path / "answers.jsonl", [{"instruction": "Hi?", "response": "Hello."}])


def a_run(tmp_path, given=None):
    evaluation = {"perplexity_answers": {"kind": "path", "path": str(given)}} if given else {}
    return run_file(tmp_path / "workspace", tmp_path / "model", evaluation=evaluation)


def test_held_out_rows_come_first(tmp_path, given):
    run = a_run(tmp_path, given)
    lay_out(run, {}, lists={"answers": [given]}, held_out=[a_conversation(HELP)])
    found = find_references(context(run, "evaluate"))
    assert found.origin == "held-out"
    assert found.conversations == [
        (Message("user", "How do I cook rice?"), Message("assistant", HELP))
    ]


def test_the_answers_of_the_run_file_come_second(tmp_path, given):
    run = a_run(tmp_path, given)
    lay_out(run, {}, lists={"answers": [given]})
    found = find_references(context(run, "evaluate"))
    assert found.origin == "given"
    assert found.conversations == [(Message("user", "Hi?"), Message("assistant", "Hello."))]


def test_the_bundled_answers_come_last(tmp_path):
    run = a_run(tmp_path)
    lay_out(run, {})
    found = find_references(context(run, "evaluate"))
    assert found.origin == "bundled"
    assert all(is_clean(conversation) for conversation in found.conversations)


def test_held_out_refusals_are_no_reference(tmp_path):
    run = a_run(tmp_path)
    rows = [a_conversation(REFUSAL), a_conversation(HELP), a_conversation("")]
    lay_out(run, {}, held_out=rows)
    assert len(find_references(context(run, "evaluate")).conversations) == 1


def test_of_many_held_out_rows_some_are_taken_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.setattr(references, "MOST_HELD_OUT", 4)
    run = a_run(tmp_path)
    lay_out(run, {}, held_out=[a_conversation(f"Take {n} eggs.") for n in range(10)])
    found = find_references(context(run, "evaluate"))
    taken = [conversation[1].content for conversation in found.conversations]
    assert taken == ["Take 0 eggs.", "Take 2 eggs.", "Take 5 eggs.", "Take 7 eggs."]
