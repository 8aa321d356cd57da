import pytest

from uncensor_trainer.workspace import Workspace, append_line, read_json, read_lines, write_json


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path, "trial")


def commit(workspace, digest, text="x", stage="filter"):
    partial = workspace.begin(stage, digest)
    (partial / "kept.jsonl").write_text(text)
    return workspace.commit(stage, partial, {"digest": digest})


def test_an_output_is_absent_until_it_is_complete(workspace):
    partial = workspace.begin("filter", "abc")
    (partial / "kept.jsonl").write_text("half")
    assert not workspace.output("filter").exists()
    assert not workspace.is_complete("filter", "abc")


def test_a_committed_output_is_complete_for_its_digest_only(workspace):
    commit(workspace, "abc")
    assert workspace.is_complete("filter", "abc")
    assert not workspace.is_complete("filter", "abd")


def test_beginning_again_empties_what_a_killed_process_left(workspace):
    (workspace.begin("filter", "abc") / "half").write_text("")
    assert list(workspace.begin("filter", "abc").iterdir()) == []


def test_a_replaced_output_is_archived_and_never_overwritten(workspace):
    for number in range(3):
        commit(workspace, f"digest-{number}", text=str(number))
    archived = sorted((workspace.run_dir / "archive").glob("filter.*/kept.jsonl"))
    assert [path.read_text() for path in archived] == ["0", "1"]
    assert (workspace.output("filter") / "kept.jsonl").read_text() == "2"


def test_the_control_arm_has_folders_of_its_own(workspace):
    assert workspace.arm_dir("filtered") == workspace.run_dir
    assert workspace.output("train-control") == workspace.arm_dir("control") / "model"


def test_a_torn_last_line_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": 2, "lo')
    assert read_lines(path) == [{"step": 1}]


def test_a_line_separator_in_a_text_does_not_end_a_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": "one\u2028two\x85three"}]
    append_line(path, rows[0])
    assert read_lines(path) == rows


def test_absent_files_are_empty(tmp_path):
    assert read_lines(tmp_path / "no") == []
    assert read_json(tmp_path / "no") is None


def test_a_damaged_record_counts_as_absent(tmp_path):
    path = tmp_path / "stage.json"
    write_json(path, {"digest": "abc"})
    path.write_text(path.read_text()[:-4])
    assert read_json(path) is None
