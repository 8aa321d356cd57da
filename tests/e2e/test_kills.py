"""A run that is killed again and again ends like one that was left alone."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from support.command import uncensor
from support.tiny import some_rows, tiny_model
from uncensor_trainer.workspace import read_lines

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

# At a random moment of each, so that the kills spread over the run.
KILLED_STAGES = ("filter", "prepare", "train", "train-control", "evaluate")
REFUSAL = "I'm sorry, but as an AI language model, I cannot help with that."


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manifest")
    tiny_model(folder / "base")
    rows = some_rows(80)
    for row in rows[::4]:
        row["messages"][1]["content"] = REFUSAL
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": f"Name tree {number}."}) + "\n" for number in range(6))
    )
    path = folder / "training.yaml"
    path.write_text(
        f"""
apiVersion: uncensor.dev/v1alpha1
kind: UncensorTraining
metadata: {{name: killed}}
spec:
  model: {{path: {folder}/base}}
  datasets: [{{name: rows, path: {folder}/rows.jsonl}}]
  training:
    maxLength: 128
    epochs: "4"
    globalBatchSize: 4
    microBatchSize: 2
    precision: fp32
    learningRate: "1e-3"
    validationFraction: "0.1"
    control: true
    checkpoints: {{everySteps: 3, keepLatest: 2}}
  compute: {{gpusPerNode: 0}}
  probe: {{input: {{path: {folder}/prompts.jsonl}}, maxNewTokens: 4}}
  evaluation: {{refusal: {{prompts: {{path: {folder}/prompts.jsonl}}, maxNewTokens: 8}}}}
"""
    )
    return path


@pytest.fixture(scope="module")
def undisturbed(manifest, tmp_path_factory):
    workspace = tmp_path_factory.mktemp("undisturbed")
    done = uncensor("run", manifest, "--workspace", workspace)
    assert done.returncode == 0, done.stderr
    return workspace / "runs/killed"


def start(manifest, workspace):
    return subprocess.Popen(
        [sys.executable, "-m", "uncensor_operator.cli", "run", manifest, "--workspace", workspace],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process, events, stage):
    """Return when a stage has begun, or is complete already."""
    begun = {"stage-started", "stage-skipped"}
    already = len(read_lines(events))
    while process.poll() is None:
        for event in read_lines(events)[already:]:
            if event["stage"] == stage and event["event"] in begun:
                return
        time.sleep(0.02)


def seconds_of(run, stage):
    return next(
        event["seconds"]
        for event in read_lines(run / "events.jsonl")
        if event["event"] == "stage-finished" and event["stage"] == stage
    )


def kill_something(process, choice):
    """Kill the command, its stage, or both at once, as an OOM killer or a reboot would."""
    stages = psutil.Process(process.pid).children(recursive=True)
    victims = {"command": [process], "stage": stages, "all": [process, *stages]}[choice]
    for victim in victims:
        try:
            os.kill(victim.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate(timeout=600)


def test_five_kills_at_random_moments_change_nothing(manifest, undisturbed, tmp_path):
    chance = random.Random(20261124)  # noqa: S311 - moments, not secrets
    kills = 0
    for stage in KILLED_STAGES:
        process = start(manifest, tmp_path)
        wait_for(process, tmp_path / "runs/killed/events.jsonl", stage)
        time.sleep(chance.uniform(0.0, 0.5) * seconds_of(undisturbed, stage))
        if process.poll() is None:
            kill_something(process, chance.choice(["command", "stage", "all"]))
            kills += 1
    # On a machine that has become much faster meanwhile, the last kill may come too late.
    assert kills >= len(KILLED_STAGES) - 1
    last = uncensor("run", manifest, "--workspace", tmp_path)
    assert last.returncode == 0, last.stderr

    killed = tmp_path / "runs/killed"
    assert results(killed) == results(undisturbed)
    assert losses(killed) == losses(undisturbed)
    assert losses(killed / "control") == losses(undisturbed / "control")
    finished = Counter(
        event["stage"]
        for event in read_lines(killed / "events.jsonl")
        if event["event"] == "stage-finished"
    )
    assert set(finished.values()) == {1}


def results(run: Path):
    return json.loads((run / "report/report.json").read_text())["results"]


def losses(run: Path):
    return [(row["step"], row["loss"]) for row in read_lines(run / "metrics.jsonl")]


def test_ctrl_c_saves_and_the_same_command_goes_on(manifest, undisturbed, tmp_path):
    process = start(manifest, tmp_path)
    metrics = tmp_path / "runs/killed/metrics.jsonl"
    while process.poll() is None and len(read_lines(metrics)) < 5:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 75
    assert "The same command goes on from here" in errors
    assert len(read_lines(metrics)) < len(read_lines(undisturbed / "metrics.jsonl"))
    assert uncensor("run", manifest, "--workspace", tmp_path).returncode == 0
    assert losses(tmp_path / "runs/killed") == losses(undisturbed)
    assert results(tmp_path / "runs/killed") == results(undisturbed)
