"""A run from `kubectl apply` to the end, in real pods."""

from __future__ import annotations

import pytest

from support.staging import STAGES, Stage

pytestmark = pytest.mark.cluster


def test_every_stage_runs_once_and_the_run_succeeds(run: Stage) -> None:
    run.apply()
    run.wait_for("Succeeded", seconds=120)

    assert run.starts() == [f"{stage} 1 0" for stage in STAGES]
    assert run.status["phase"] == "Succeeded"
    assert run.condition("Ready")["status"] == "True"
    assert run.condition("Stalled")["status"] == "False"
    assert run.status["observedGeneration"] == run.raw["metadata"]["generation"]


def test_kubectl_waits_for_it_and_shows_columns(run: Stage) -> None:
    run.apply()
    run.space.kubectl("wait", "ut/run", "--for=condition=Succeeded", "--timeout=120s")

    header, line = run.space.kubectl("get", "ut").splitlines()
    assert header.split() == ["NAME", "STAGE", "READY", "PROGRESS", "LOSS", "REFUSALS", "AGE"]
    assert line.split()[:4] == ["run", "Succeeded", "True", "7/7"]
    described = run.space.kubectl("describe", "ut", "run")
    assert "Every stage is done." in described
    assert "report is done." in described


def test_two_nodes_train_as_master_and_worker(run: Stage) -> None:
    # The job ends with its master, so that must not be quicker than the worker's start.
    run.stunt(
        "train", "until [ $(grep -c train /workspace/seen/starts) = 2 ]; do sleep 0.1; done\n"
    )
    run.apply({"compute": {"pool": "cpu", "nodes": 2, "gpusPerNode": 0}})
    run.wait_for("Succeeded", seconds=120)

    trained = [line for line in run.starts() if line.startswith("train ")]
    assert sorted(trained) == ["train 1 0", "train 1 1"]
