"""What surrounds every stage: skip, commit, failure, last word."""

import json
import sys
import types

import pytest

from support.tiny import run_file, silent_progress, write_run_file
from uncensor_trainer import run as module
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.run import main, run_stage
from uncensor_trainer.runfile import RunFile, read_run_file
from uncensor_trainer.workspace import Workspace


@pytest.fixture
def stage(monkeypatch):
    """A stage of our own in place of filter; its `run` can be replaced."""
    made = types.ModuleType("a_stage")
    made.calls = 0

    def run(context, out):
        made.calls += 1
        (out / "file").write_text(context.digest)
        return {"rows": 3}

    made.run = run
    monkeypatch.setitem(sys.modules, "a_stage", made)
    monkeypatch.setitem(module.STAGES, "filter", "a_stage")
    return made


@pytest.fixture
def run(tmp_path):
    return run_file(tmp_path, tmp_path / "base")


def test_a_stage_leaves_its_output_and_its_record(stage, run, tmp_path):
    assert run_stage(run, "filter", silent_progress("filter")) == {
        "outcome": "done",
        "summary": {"rows": 3},
    }
    record = Workspace(tmp_path, "tiny").record("filter")
    assert record["digest"] == run.stage("filter").digest
    assert record["summary"] == {"rows": 3}
    assert record["finishedAt"] >= record["startedAt"]
    assert "torch" in record["versions"]


def test_a_complete_stage_is_skipped(stage, run):
    run_stage(run, "filter", silent_progress("filter"))
    assert run_stage(run, "filter", silent_progress("filter")) == {
        "outcome": "skipped",
        "summary": {"rows": 3},
    }
    assert stage.calls == 1


def test_another_digest_does_it_again(stage, run, tmp_path):
    run_stage(run, "filter", silent_progress("filter"))
    other = run_file(tmp_path, tmp_path / "base", digest="1" * 12)
    run_stage(other, "filter", silent_progress("filter"))
    assert stage.calls == 2


def test_a_failing_stage_leaves_no_output_and_a_last_word(stage, run, tmp_path):
    def fail(context, out):
        (out / "half").write_text("")
        raise InvalidInput("Row 3 is at fault.")

    stage.run = fail
    path = write_run_file(run, tmp_path / "run.json")
    assert main(path, "filter", tmp_path / "end.json") == 64
    assert not Workspace(tmp_path, "tiny").output("filter").exists()
    assert json.loads((tmp_path / "end.json").read_text()) == {
        "outcome": "failed",
        "code": 64,
        "reason": "InvalidInput",
        "message": "Row 3 is at fault.",
    }


def test_our_own_fault_is_code_70_with_the_trace_in_the_log(stage, run, tmp_path, capsys):
    def fail(context, out):
        raise KeyError("bug")

    stage.run = fail
    path = write_run_file(run, tmp_path / "run.json")
    assert main(path, "filter", tmp_path / "end.json") == 70
    assert "Traceback" in capsys.readouterr().err
    assert "fault of our own" in (tmp_path / "end.json").read_text()


def test_the_last_word_fits_what_kubernetes_keeps(stage, run, tmp_path):
    stage.run = lambda context, out: {"long": "x" * 9000}
    path = write_run_file(run, tmp_path / "run.json")
    assert main(path, "filter", tmp_path / "end.json") == 0
    text = (tmp_path / "end.json").read_text()
    assert len(text.encode()) <= 4096
    assert json.loads(text)["outcome"] == "done"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not follow"),
        ("{", "does not follow"),
        ('{"version": "uncensor.dev/run/v9"}', "does not follow"),
    ],
)
def test_a_wrong_run_file_is_a_users_error(tmp_path, text, words):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InvalidInput, match=words):
        read_run_file(tmp_path / "run.json")
    assert main(tmp_path / "run.json", "filter") == 64


def test_a_missing_run_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"nothing\.json"):
        read_run_file(tmp_path / "nothing.json")


def test_an_unknown_field_is_refused(run, tmp_path):
    value = {**run.model_dump(mode="json"), "surprise": 1}
    (tmp_path / "run.json").write_text(json.dumps(value))
    with pytest.raises(InvalidInput, match="surprise"):
        read_run_file(tmp_path / "run.json")


def test_a_run_file_survives_being_written_and_read(run, tmp_path):
    assert read_run_file(write_run_file(run, tmp_path / "run.json")) == run


def test_a_stage_that_the_run_does_not_have_is_named(run):
    with pytest.raises(InvalidInput, match="no stage 'align'"):
        run.stage("align")


def test_arms_follow_the_settings(run):
    assert run.arms == ("filtered",)
    changed = RunFile.model_validate_json(
        json.dumps(
            {
                **run.model_dump(mode="json"),
                "training": {"control": True},
                "evaluation": {"baseline": {"kind": "path", "path": "base"}},
            }
        )
    )
    assert changed.arms == ("filtered", "control", "baseline")
