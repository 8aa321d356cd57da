import io
import json

import pytest

from support.tiny import run_file
from uncensor_trainer.exits import ExitCode, InvalidInput
from uncensor_trainer.progress import Progress
from uncensor_trainer.run import main, run_stage
from uncensor_trainer.workspace import Workspace

ACTIONS = {
    "refusal": "drop",
    "partial": "keep",
    "moralise": "drop",
    "capability": "keep",
    "disclaimer": "strip",
    "placeholder": "drop",
    "identity": "keep",
}
PLAIN = "Boil the pasta for nine minutes and keep a cup of the water."
REFUSAL = "I'm sorry, but I can't assist with that request."
CAVEAT = (
    "As an AI language model, I don't have personal opinions, but many people like tea "
    "because it is gentle, warm, cheap and comes in hundreds of kinds."
)
NAMES = ("kept.jsonl", "unfiltered.jsonl", "decisions.jsonl", "quarantine.jsonl")


def answered(output, instruction="What do you think of this?"):
    return json.dumps({"instruction": instruction, "output": output})


class Stage:
    """The filter stage of one run, on data files in a workspace of its own."""

    def __init__(self, root):
        self.root = root
        self.workspace = Workspace(root, "tiny")
        self.lines = io.StringIO()

    def run_file(self, datasets, **settings):
        """Lay out what fetch leaves for data sets given as {name: {file: content}}."""
        entries = {}
        for name, files in datasets.items():
            for file, content in files.items():
                path = self.root / "datasets" / name / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
            entries[name] = {"files": [f"datasets/{name}/{file}" for file in files]}
        partial = self.workspace.begin("fetch", "0")
        (partial / "sources.json").write_text(json.dumps({"datasets": entries}))
        self.workspace.commit("fetch", partial, {"digest": "0"})
        source = {"kind": "path", "path": "rows.jsonl"}
        listed = [{"name": name, "source": source} for name in datasets]
        limits = {name: settings.pop(name) for name in ("max_rows", "format") if name in settings}
        return run_file(
            self.root,
            self.root / "model",
            filter={"actions": ACTIONS, **settings},
            datasets=[{**dataset, **limits} for dataset in listed],
        )

    def of(self, *rows, **settings):
        """Run on one data set of these lines and return the summary."""
        return self.run(self.run_file({"rows": {"rows.jsonl": "\n".join(rows)}}, **settings))

    def run(self, run):
        return run_stage(run, "filter", Progress("filter", stream=self.lines))["summary"]

    def rows(self, name):
        # Not splitlines(): a text may hold other line ends than ours.
        text = (self.workspace.output("filter") / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n") if line]

    def kept(self):
        return [row["messages"][-1]["content"] for row in self.rows("kept.jsonl")]


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path)


def test_every_row_is_kept_dropped_or_quarantined_and_counted(stage):
    summary = stage.of(answered(PLAIN), answered(REFUSAL), "{", answered(CAVEAT), answered(PLAIN))
    assert summary == {
        "rows": 5,
        "kept": 3,
        "dropped": 1,
        "stripped": 1,
        "cut": 0,
        "quarantined": 1,
        "byClass": {"refusal": 1, "disclaimer": 1},
    }
    assert stage.kept() == [PLAIN, CAVEAT[CAVEAT.index("many") :].replace("many", "Many"), PLAIN]
    indices = {name: [row["index"] for row in stage.rows(name)] for name in NAMES}
    assert indices == {
        "kept.jsonl": [0, 3, 4],
        "unfiltered.jsonl": [0, 1, 3, 4],
        "decisions.jsonl": [1, 3],
        "quarantine.jsonl": [2],
    }


def test_the_report_counts_each_data_set_and_shows_examples(stage):
    stage.run(
        stage.run_file(
            {
                "one": {"a.jsonl": f"{answered(PLAIN)}\n{answered(REFUSAL)}\n"},
                "two": {"a.json": f"[{answered(PLAIN)}]", "b.jsonl": "{\n"},
            }
        )
    )
    report = json.loads((stage.workspace.output("filter") / "report.json").read_text())
    counts = {entry["name"]: (entry["rows"], entry["kept"]) for entry in report["datasets"]}
    assert counts == {"one": (2, 1), "two": (2, 1)}
    assert report["rows"] == report["kept"] + report["dropped"] + report["quarantined"] == 4
    (example,) = report["examples"]["refusal"]
    assert (example["dataset"], example["index"], example["response"]) == ("one", 1, REFUSAL)
    assert report["quarantineExamples"][0]["reason"].startswith("line 1, column 2")


def test_malformed_rows_are_told_in_the_log(stage):
    stage.of(answered(PLAIN), "{", '{"instruction": "Q"}')
    notes = [line for line in stage.lines.getvalue().splitlines() if '"note"' in line]
    assert len(notes) == 1
    assert "2 of 3 rows of 'rows' are malformed" in notes[0]


@pytest.mark.parametrize(
    ("content", "quarantined"),
    [
        pytest.param(answered(PLAIN) + "\n" + '{"x": 1}', 1, id="other fields"),
        pytest.param(answered(PLAIN) + "\n" + "\0" * 100, 1, id="zeros at the end"),
        pytest.param(answered(PLAIN) + "\n" + answered("a\0b"), 1, id="NUL in a text"),
        pytest.param(answered(PLAIN) + "\n" + answered("\ud800"), 1, id="lone surrogate"),
        pytest.param(answered(PLAIN).encode() + b'\n{"instruction": "\xff"}', 1, id="not UTF-8"),
        pytest.param(answered(PLAIN) + "\n" + answered("x" * 2_000_000), 1, id="giant row"),
        pytest.param(answered(PLAIN) + "\n" + answered(PLAIN, instruction=""), 1, id="no question"),
        pytest.param(answered(PLAIN) + "\n" + answered(""), 0, id="empty answer is dropped"),
        pytest.param(answered(PLAIN) + "\n" + '{"messages": []}', 1, id="mixed formats"),
        pytest.param(answered(PLAIN) + "\n" + answered("a\u2028b\x85c"), 0, id="odd line ends"),
    ],
)
def test_bad_rows_never_stop_the_good_ones(stage, content, quarantined):
    summary = stage.run(stage.run_file({"rows": {"rows.jsonl": content}}))
    assert summary["rows"] == 2
    assert summary["quarantined"] == quarantined == len(stage.rows("quarantine.jsonl"))
    assert summary["kept"] + summary["dropped"] + summary["quarantined"] == 2
    assert PLAIN in stage.kept()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        pytest.param({"a.json": '[{"instruction": "Q",\n]'}, "line 2, column 1", id="torn JSON"),
        pytest.param({"a.json": '"text"'}, "holds text; want a list", id="wrong top level"),
        pytest.param({"a.json": "[]"}, "at least one row", id="empty list"),
        pytest.param({"a.jsonl": ""}, "at least one row", id="empty file"),
        pytest.param({"a.json": b"[\xff]"}, "is not UTF-8: line 1", id="another encoding"),
        pytest.param({"a.parquet": b"PAR1"}, "not readable Parquet", id="torn Parquet"),
        pytest.param({"a.jsonl": '{"q": 1, "a": 2}'}, "Fields found: q, a", id="unknown fields"),
        pytest.param({"a.jsonl": "no\nno"}, "The first row: line 1", id="not JSON"),
    ],
)
def test_an_unreadable_data_set_is_named_with_the_reason(stage, files, told):
    with pytest.raises(InvalidInput, match=told) as caught:
        stage.run(stage.run_file({"wizard": files}))
    assert str(caught.value).startswith("Data set 'wizard': ")
    assert not stage.workspace.output("filter").exists()


def test_bad_data_ends_with_the_users_exit_code_and_no_traceback(stage, tmp_path, capfd):
    run = stage.run_file({"rows": {"a.json": '[{"instruction" "Q"}]'}})
    path = tmp_path / "run.json"
    path.write_text(run.model_dump_json())
    message = tmp_path / "message"
    assert main(path, "filter", message) == ExitCode.INVALID_INPUT
    outcome = json.loads(message.read_text())
    assert outcome["reason"] == "InvalidInput"
    assert "line 1, column 17" in outcome["message"]
    assert capfd.readouterr().err == ""


def test_without_the_output_of_fetch_the_remedy_is_told(stage):
    run = stage.run_file({"rows": {"rows.jsonl": answered(PLAIN)}})
    (stage.workspace.output("fetch") / "sources.json").write_text('{"datasets": {}}')
    with pytest.raises(InvalidInput, match="--from fetch"):
        stage.run(run)


@pytest.mark.parametrize(
    ("rows", "settings", "told"),
    [
        pytest.param([answered(REFUSAL)] * 3, {}, r"dropped 3 of 3.*100%.*kept 0", id="all"),
        pytest.param(
            [answered(REFUSAL)] * 3,
            {"max_drop_fraction": 1.0},
            "one row must be left",
            id="allowed",
        ),
        pytest.param(
            [answered(PLAIN)] + [answered(REFUSAL)] * 3, {}, r"dropped 3 of 4.*75%", id="most"
        ),
        pytest.param(
            ["{", answered(PLAIN)] + [answered(REFUSAL)] * 3,
            {},
            r"dropped 3 of 4.*1 more could not be read",
            id="malformed rows do not count",
        ),
        pytest.param(
            [answered(None)] * 2,
            {},
            "None of the 2 rows can be read: row 0 of 'rows': output is null",
            id="all malformed",
        ),
        pytest.param(
            [answered(PLAIN)] * 2,
            {"format": "sharegpt"},
            "has the fields of alpaca, and the data set is sharegpt",
            id="wrong format",
        ),
    ],
)
def test_a_filter_that_leaves_too_little_is_refused_and_shows_why(stage, rows, settings, told):
    with pytest.raises(InvalidInput, match=told) as caught:
        stage.of(*rows, **settings)
    assert not stage.workspace.output("filter").exists()
    shown = stage.workspace.run_dir / "filter-refused"
    assert str(shown) in str(caught.value)
    assert json.loads((shown / "report.json").read_text())["rows"] == len(rows)


def test_what_was_shown_of_a_refused_attempt_goes_when_one_succeeds(stage):
    rows = [answered(PLAIN), answered(REFUSAL), answered(REFUSAL)]
    with pytest.raises(InvalidInput):
        stage.of(*rows)
    stage.of(*rows, max_drop_fraction=0.7)
    assert not (stage.workspace.run_dir / "filter-refused").exists()


@pytest.mark.parametrize(
    ("settings", "kept", "decisions"),
    [
        pytest.param({}, [PLAIN], 1, id="enforce drops"),
        pytest.param({"mode": "audit"}, [PLAIN, REFUSAL], 1, id="audit marks"),
        pytest.param({"mode": "off"}, [PLAIN, REFUSAL], 0, id="off does neither"),
        pytest.param({"actions": {**ACTIONS, "refusal": "keep"}}, [PLAIN, REFUSAL], 1, id="keep"),
    ],
)
def test_the_mode_and_the_actions_decide(stage, settings, kept, decisions):
    stage.of(answered(PLAIN), answered(REFUSAL), **settings)
    assert stage.kept() == kept
    assert len(stage.rows("decisions.jsonl")) == decisions


def test_only_remarks_of_classes_to_strip_are_taken_off(stage):
    summary = stage.of(answered(CAVEAT), actions={**ACTIONS, "disclaimer": "keep"})
    assert stage.kept() == [CAVEAT]
    assert summary["stripped"] == 0


def test_an_answer_that_is_all_remark_stays_and_does_not_count_as_stripped(stage):
    summary = stage.of(answered(REFUSAL), actions={**ACTIONS, "refusal": "strip"})
    assert (stage.kept(), summary["stripped"], summary["kept"]) == ([REFUSAL], 0, 1)
    assert [row["action"] for row in stage.rows("decisions.jsonl")] == ["keep"]


def test_a_class_without_an_action_is_refused_by_name(stage):
    actions = {name: action for name, action in ACTIONS.items() if name != "moralise"}
    with pytest.raises(InvalidInput, match="says nothing about moralise"):
        stage.of(answered(PLAIN), actions=actions)


def test_a_pattern_that_is_not_valid_is_named(stage):
    rule = {"name": "mine", "refusal_class": "refusal", "pattern": "(?=x)"}
    with pytest.raises(InvalidInput, match="'mine' is not valid RE2"):
        stage.of(answered(PLAIN), extra_rules=[rule])


@pytest.mark.parametrize(("max_rows", "rows"), [(None, 4), (3, 3), (1, 1)])
def test_only_the_first_rows_are_filtered(stage, max_rows, rows):
    summary = stage.of(answered(PLAIN), "{", answered(PLAIN), answered(PLAIN), max_rows=max_rows)
    assert summary["rows"] == rows


def test_the_same_inputs_are_filtered_once(stage):
    run = stage.run_file({"rows": {"rows.jsonl": answered(PLAIN)}})
    stage.run(run)
    again = run_stage(run, "filter", Progress("filter", stream=stage.lines))
    assert again["outcome"] == "skipped"
    assert again["summary"]["kept"] == 1


def test_a_conversation_can_be_cut_before_the_refusal(stage):
    turns = ["a", PLAIN, "b", REFUSAL, "c", PLAIN]
    talk = [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(turns)]
    actions = {**ACTIONS, "refusal": "cut"}
    summary = stage.of(json.dumps({"conversations": talk}), actions=actions)
    assert (summary["kept"], summary["cut"], summary["dropped"]) == (1, 1, 0)
    (kept,) = stage.rows("kept.jsonl")
    assert [message["content"] for message in kept["messages"]] == ["a", PLAIN]
    (decision,) = stage.rows("decisions.jsonl")
    assert (decision["action"], decision["removed"]) == ("cut", [2, 3, 4, 5])
