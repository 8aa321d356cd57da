"""Suspend, edit, delete; operators that die, pause and take over."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest

from cluster.clusters import Cluster
from cluster.errors import ClusterError
from cluster.outside import Outside
from support.staging import STAGES, Stage

pytestmark = pytest.mark.cluster

WAITS = "if [ $attempt = 1 ] && [ ! -f /workspace/go ]; then while true; do sleep 0.1; done; fi\n"


@pytest.mark.parametrize("stage", ["fetch", "train", "evaluate"])
def test_suspended_at_any_stage_it_goes_on_from_there(run: Stage, stage: str) -> None:
    run.stunt(stage, WAITS)
    run.apply()
    run.wait_state(stage, "Running")
    run.patch({"spec": {"suspend": True}})
    run.wait_for("Suspended")
    assert run.status["phase"] == "Suspended"
    assert [pod for pod in run.pods() if pod["status"]["phase"] == "Running"] == []
    assert run.stage(stage)["state"] == "Stopped"
    (run.workspace / "go").touch()
    run.patch({"spec": {"suspend": False}})

    run.wait_for("Succeeded", seconds=90)
    assert (run.stage(stage)["attempts"], run.stage(stage)["failures"]) == (2, 0)
    before = STAGES[: STAGES.index(stage)]
    assert [run.stage(one)["attempts"] for one in before] == [1] * len(before)


def test_a_run_that_is_created_suspended_creates_nothing(run: Stage) -> None:
    run.apply({"suspend": True})
    run.wait_for("Suspended")

    assert run.children() == []


def test_a_filter_edit_before_training_repeats_what_depends_on_it(run: Stage) -> None:
    run.stunt("prepare", WAITS)
    run.apply()
    run.wait_state("prepare", "Running")
    (run.workspace / "go").touch()
    run.patch({"spec": {"filter": {"mode": "audit"}}})

    run.wait_for("Succeeded", seconds=90)
    # What the operator knows decides: a Job that it stops is one attempt, and one more follows.
    assert [line.split()[0] for line in run.starts()].count("filter") == 2


def test_once_training_has_begun_the_server_refuses_what_would_change_the_weights(
    run: Stage,
) -> None:
    run.stunt("train", WAITS)
    run.apply()
    run.wait_state("train", "Running")
    with pytest.raises(ClusterError, match="create a new run"):
        run.patch({"spec": {"filter": {"mode": "audit"}}})
    run.patch({"spec": {"runPolicy": {"backoffLimit": 5}}})
    (run.workspace / "go").touch()
    run.space.kubectl("delete", "pod", "run-train-1-master-0", "--wait=false")

    run.wait_for("Succeeded", seconds=90)


def test_an_evaluation_edit_after_the_end_repeats_the_evaluation(run: Stage) -> None:
    run.apply()
    run.wait_for("Succeeded", seconds=90)
    run.patch({"spec": {"evaluation": {"refusal": {"maxNewTokens": 33}}}})
    run.wait("a new attempt", lambda: run.stage("evaluate")["attempts"] == 2)
    run.wait_for("Succeeded", seconds=60)

    assert [run.stage(one)["attempts"] for one in STAGES] == [1, 1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("stage", ["fetch", "train", "report"])
def test_deleted_at_any_stage_its_pods_go_and_its_volume_stays(run: Stage, stage: str) -> None:
    run.stunt(stage, WAITS)
    run.apply()
    run.wait_state(stage, "Running")
    run.space.kubectl("delete", "ut", "run", "--timeout=60s")

    run.wait("the end of all pods", lambda: run.pods() == [], seconds=60)
    claims = run.space.api.items(run.space.path("persistentvolumeclaims"))
    assert [one["metadata"]["name"] for one in claims] == ["run-workspace"]


def test_without_retain_the_claim_goes_with_the_run(run: Stage) -> None:
    run.apply({"workspace": {"retain": False}})
    run.wait_for("Succeeded", seconds=90)
    run.space.kubectl("delete", "ut", "run", "--timeout=60s")
    path = run.space.path("persistentvolumeclaims")

    run.wait("the end of the claim", lambda: run.space.api.items(path) == [], seconds=60)


def test_a_run_of_the_same_name_waits_for_the_pods_of_the_old_one(run: Stage) -> None:
    run.stunt("train", f"trap 'sleep 4; exit 75' TERM\n{WAITS}")
    run.apply()
    run.wait_state("train", "Running")
    run.space.kubectl("delete", "ut", "run", "--timeout=60s")
    (run.workspace / "go").touch()
    run.apply()

    run.wait_for("Succeeded", seconds=120)
    assert run.starts().count("train 1 0") == 2


def test_finished_pods_are_removed_after_their_time(run: Stage) -> None:
    run.apply({"runPolicy": {"ttlSecondsAfterFinished": 2}})
    run.wait_for("Succeeded", seconds=90)

    run.wait("the end of all pods", lambda: run.pods() == [], seconds=60)
    assert run.condition("Succeeded")["status"] == "True"


def test_a_run_that_takes_too_long_is_stopped(run: Stage) -> None:
    run.stunt("filter", WAITS)
    run.apply({"runPolicy": {"activeDeadlineSeconds": 6}})
    stalled = run.wait_for("Stalled", seconds=60)

    assert stalled["reason"] == "DeadlineExceeded"
    run.wait("an idle namespace", lambda: all(is_over(pod) for pod in run.pods()))


def is_over(pod: dict) -> bool:
    return pod["status"]["phase"] in ("Succeeded", "Failed")


def test_a_child_held_back_by_a_queue_counts_as_queued(run: Stage) -> None:
    run.stunt("fetch", "sleep 0.1\n")
    run.apply(labels={"kueue.x-k8s.io/queue-name": "a100"}, spec=None)
    run.wait("the first child", lambda: run.children() != [])
    (job,) = run.children()
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "a100"
    run.wait_for("Succeeded", seconds=90)


def test_a_suspended_child_is_not_started_by_us(run: Stage) -> None:
    """Kueue holds a Job back by suspending it, and lets it go when there is quota."""
    run.stunt("fetch", WAITS)
    run.apply()
    run.wait_state("fetch", "Running")
    hold = json.dumps({"spec": {"suspend": True}})
    run.space.kubectl("patch", "job", "run-fetch-1", "--type=merge", "-p", hold)
    run.wait_state("fetch", "Queued")
    assert "held back by its queue" in run.condition("Ready")["message"]
    (run.workspace / "go").touch()
    let_go = json.dumps({"spec": {"suspend": False}})
    run.space.kubectl("patch", "job", "run-fetch-1", "--type=merge", "-p", let_go)

    run.wait_for("Succeeded", seconds=90)
    assert run.stage("fetch")["attempts"] == 1


def test_killed_at_random_moments_the_operator_goes_on(run: Stage, operator: Outside) -> None:
    chance = random.Random(4)  # noqa: S311 - the same moments each time
    try:
        run.apply({"compute": {"pool": "cpu", "nodes": 2, "gpusPerNode": 0}})
        for _ in range(6):
            time.sleep(chance.uniform(0.2, 3.0))
            operator.kill()
            operator.start()
        run.wait_for("Succeeded", seconds=120)
    finally:
        if operator.process and operator.process.poll() is not None:
            operator.start()
    starts = run.starts()
    assert sorted(set(starts)) == sorted(starts), "an attempt started twice"
    assert {line for line in starts if line.split()[1] != "1"} == set(), "an attempt was wasted"


def test_a_second_replica_takes_over_and_the_first_one_is_kept_from_writing(
    run: Stage, operator: Outside, stunt_cluster: Cluster, tmp_path: Path
) -> None:
    second = Outside(stunt_cluster, tmp_path / "second", operator.settings).start()
    try:
        assert second.metric("uncensor_leader") == 0
        run.stunt("train", WAITS)
        run.apply()
        run.wait_state("train", "Running")
        operator.pause()
        run.wait("a new leader", lambda: second.metric("uncensor_leader") == 1, seconds=30)
        (run.workspace / "go").touch()
        run.space.kubectl("delete", "pod", "run-train-1-master-0", "--wait=false")
        run.wait_for("Succeeded", seconds=90)
        operator.go_on()
        # It slept through the loss of its lease: it notices, and ends.
        assert operator.process is not None
        assert operator.process.wait(30) == 1
        assert run.condition("Succeeded")["status"] == "True"
    finally:
        second.stop()
        operator.stop()
        operator.start()


def test_a_stopped_leader_hands_over_at_once(
    operator: Outside, stunt_cluster: Cluster, tmp_path: Path
) -> None:
    second = Outside(stunt_cluster, tmp_path / "second", operator.settings).start()
    try:
        assert operator.kill(signal.SIGTERM) == 0
        deadline = time.monotonic() + 15
        while second.metric("uncensor_leader") != 1:
            assert time.monotonic() < deadline, "nobody leads"
            time.sleep(0.1)
    finally:
        second.stop()
        operator.start()


def test_the_health_check_fails_when_the_loop_is_dead(operator: Outside) -> None:
    assert operator.read("/healthz") == "ok\n"
    assert "uncensor_reconcile_seconds_count" in operator.read("/metrics")
