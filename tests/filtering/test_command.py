import json
import subprocess
import sys

import pytest
from typer import Typer
from typer.testing import CliRunner

from support.filtering import PLAIN, REFUSAL, lines, row
from uncensor_operator.cli.filter import register

COMMAND = (
    "import typer; from uncensor_operator.cli.filter import register;"
    "app = typer.Typer(); app.callback()(lambda: None); register(app); app()"
)


@pytest.fixture
def uncensor():
    app = Typer()
    app.callback()(lambda: None)
    register(app)
    return lambda *words: CliRunner().invoke(app, ["filter", *map(str, words)])


def test_it_writes_what_was_asked_for_and_tells_the_counts(uncensor, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(lines(row(), row(REFUSAL)))
    out, report = tmp_path / "out.jsonl", tmp_path / "report.json"
    result = uncensor(tmp_path / "in.jsonl", "-o", out, "--report", report)
    assert result.exit_code == 0
    assert out.read_bytes() == lines(row())
    assert "1 dropped (50.0%)" in result.stderr
    assert result.stdout == ""
    told = json.loads(report.read_text())
    assert (told["rows"], told["kept"], told["byClass"]) == (2, 1, {"refusal": 1})


def test_actions_and_rules_are_the_users(uncensor, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(lines(row(), row(REFUSAL)))
    (tmp_path / "rules.yaml").write_text("- {name: rice, class: moralise, pattern: the RICE}\n")
    result = uncensor(
        tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl",
        "--actions", "refusal=keep", "--rules", tmp_path / "rules.yaml",
    )  # fmt: skip
    assert result.exit_code == 0
    assert (tmp_path / "out.jsonl").read_bytes() == lines(row(REFUSAL))


def test_an_audit_needs_no_output(uncensor, tmp_path):
    (tmp_path / "in.jsonl").write_bytes(lines(row(REFUSAL)))
    result = uncensor(tmp_path / "in.jsonl", "--mode", "audit")
    assert result.exit_code == 0
    assert "0 dropped" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["gone.jsonl", "-o", "x.jsonl"], "does not exist", id="no input file"),
        pytest.param(["in.jsonl"], "-o", id="no output"),
        pytest.param([], "Name the files", id="no input"),
        pytest.param(["in.jsonl", "-o", "in.jsonl"], "is an input", id="over the input"),
        pytest.param(["in.jsonl", "-o", "x.csv"], "must end in", id="unknown kind"),
        pytest.param(["in.jsonl", "-o", "x.parquet"], "Parquet", id="no schema"),
        pytest.param(["in.jsonl", "-o", "no/x.jsonl"], "no folder", id="no folder"),
        pytest.param(["in.jsonl", "-o", "x.jsonl", "--mode", "x"], "mode", id="mode"),
        pytest.param(["in.jsonl", "-o", "x.jsonl", "--actions", "a=drop"], "no class", id="class"),
        pytest.param(["in.jsonl", "-o", "x.jsonl", "--actions", "refusal"], "CLASS", id="action"),
        pytest.param(["in.jsonl", "-o", "x.jsonl", "--jobs", "-2"], "--jobs", id="jobs"),
        pytest.param(["in.jsonl", "-o", "x.jsonl", "--rules", "rules.json"], "RE2", id="pattern"),
    ],
)
def test_mistakes_are_told_in_a_sentence(uncensor, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_bytes(lines(row()))
    bad = [{"name": "a", "class": "refusal", "pattern": "(?=x)"}]
    (tmp_path / "rules.json").write_text(json.dumps(bad))
    before = sorted(tmp_path.iterdir())
    result = uncensor(*words)
    assert result.exit_code == 64
    assert told in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_it_explains_one_answer(uncensor):
    result = uncensor("--explain", REFUSAL)
    assert "class  refusal" in result.stdout
    assert repr(REFUSAL[:10])[:-1] in result.stdout
    assert "class  none" in uncensor("--explain", PLAIN).stdout


def test_it_works_in_a_pipe():
    result = subprocess.run(
        [sys.executable, "-c", COMMAND, "filter", "-", "-o", "-", "--jobs", "2"],
        input=lines(row(), row(REFUSAL), row(id=1)),
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == lines(row(), row(id=1))
