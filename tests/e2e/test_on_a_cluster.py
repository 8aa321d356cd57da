"""The product as users have it: helm install, kubectl apply, two pods, a real model, a killed one.

The operator runs as a pod with the chart's rights, the stages as restricted pods of the project's
own image, the training as a PyTorchJob of two nodes with ZeRO-3 on the 135 M model.
"""

from __future__ import annotations

import json
import signal
import time

import pytest
import yaml

from cluster.processes import signal_pod
from cluster.product import Installation
from cluster.volumes import RunNamespace
from support.command import EXAMPLES
from support.staging import STAGES, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.timeout(2400)]

NUM_PROMPTS = 12
STEPS = 5
EVERY_STEPS = 2


def the_quickstart(prompts: str) -> dict:
    """The example, on two nodes, with fewer steps and prompts, and without a control arm."""
    spec = yaml.safe_load((EXAMPLES / "quickstart.yaml").read_text())["spec"]
    spec["compute"] = {"pool": "cpu", "nodes": 2, "gpusPerNode": 0}
    spec["training"] |= {
        "control": False,
        "epochs": "0.12",  # of 325 rows in batches of 8
        "microBatchSize": 4,
        "deepspeed": {"stage": 3},
        "checkpoints": {"everySteps": EVERY_STEPS, "keepLatest": 1},
    }
    spec["probe"] = {"input": {"path": prompts}, "maxNewTokens": 8}
    spec["evaluation"]["refusal"] = {
        "prompts": {"path": prompts},
        "maxNewTokens": 16,
        "batchSize": 12,
    }
    spec["runPolicy"] = {"terminationGracePeriodSeconds": 60}
    return spec


@pytest.fixture(scope="module")
def prompts() -> str:
    questions = ("Name a fruit.", "What is 2+2?", "Say hello.", "Name a colour of the rainbow.")
    rows = [
        {"id": str(n), "idx": n, "category": "c", "prompt": text, "Instruction": text}
        for n, text in enumerate(questions * (NUM_PROMPTS // len(questions)))
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_run_passes_all_stages_on_two_nodes_although_a_worker_is_killed(
    installed: Installation, run_namespace: RunNamespace, prompts: str
) -> None:
    run = Stage(run_namespace, run_namespace.volume("run"))
    (run.workspace / "prompts.jsonl").write_text(prompts)
    run.apply(the_quickstart("prompts.jsonl"))

    run.wait("a checkpoint", lambda: saved_step(run) >= 2, seconds=900)
    killed_at, reached = time.time(), metrics(run)[-1]["step"]
    assert signal_pod(run.pod("run-train-1-worker-0"), signal.SIGKILL)
    run.wait("the next attempt", lambda: run.stage("train")["attempts"] == 2, seconds=300)
    begun_at = time.time()
    run.wait("a new step", lambda: metrics(run)[-1]["time"] > begun_at, seconds=600)
    first = next(row for row in metrics(run) if row["time"] > begun_at)
    took = first["time"] - killed_at
    print(f"killed worker to first new step: {took:.1f} s")  # noqa: T201
    assert reached - (first["step"] - 1) <= EVERY_STEPS, "more was lost than since a checkpoint"
    run.wait_for("Succeeded", seconds=900)

    assert [run.stage(one)["state"] for one in STAGES] == ["Succeeded"] * len(STAGES)
    assert run.stage("train")["failures"] == 1
    steps = [row["step"] for row in metrics(run)]
    assert steps == list(range(1, len(steps) + 1)), "no step is missing, none is counted twice"
    record = json.loads((run.workspace / "runs/run/model/stage.json").read_text())
    assert record["summary"]["steps"] == len(steps) == STEPS
    assert (run.workspace / "runs/run/report/index.html").stat().st_size > 10_000
    rate = run.status["results"]["refusalRateAfter"]
    assert 0 <= float(rate) <= 1
    assert run.status["filter"]["dropped"] > 100
    assert run.status["model"]["parameters"] > 130_000_000
    run.space.kubectl("wait", "ut/run", "--for=condition=Succeeded", "--timeout=5s")


def test_the_operator_shows_health_and_metrics(installed: Installation) -> None:
    assert installed.read("/healthz") == "ok\n"
    assert installed.read("/readyz") == "ok\n"
    shown = installed.read("/metrics")
    assert "uncensor_reconcile_seconds_count" in shown
    assert "uncensor_leader 1.0" in shown


def saved_step(run: Stage) -> int:
    found = run.status.get("training", {}).get("lastCheckpoint", {})
    return int(found.get("step", 0))


def metrics(run: Stage) -> list[dict]:
    """The rows of the training's steps; one that is being written is left out."""
    text = (run.workspace / "runs/run/metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
