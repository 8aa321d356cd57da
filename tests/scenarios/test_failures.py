"""Attempts that fail, in real pods: what the operator makes of exit codes, signals and limits."""

from __future__ import annotations

import json
import signal

import pytest

from cluster.processes import signal_pod
from support.staging import Stage

pytestmark = pytest.mark.cluster

TWO_NODES = {"compute": {"pool": "cpu", "nodes": 2, "gpusPerNode": 0}}
# A training that works until it is told to stop, saves, and ends as the trainer does.
SAVES = """
trap 'say "{\\"event\\":\\"checkpoint\\",\\"step\\":7}";
      finish 75 "{\\"outcome\\":\\"failed\\",\\"code\\":75,\\"reason\\":\\"Stopped\\",
      \\"message\\":\\"Stopped by SIGTERM; the state is saved.\\",\\"checkpointStep\\":7}"' TERM
say '{"event":"progress","stage":"train","step":5,"total":9,"loss":1.5,"tokens_per_second":12.5}'
if [ $attempt = 1 ]; then while true; do sleep 0.1; done; fi
"""
WORKS = """
say '{"event":"progress","stage":"train","step":5,"total":9}'
if [ $attempt = 1 ]; then while true; do sleep 0.1; done; fi
"""


def ends(code: int, reason: str, message: str, when: str = "[ $attempt = 1 ]") -> str:
    outcome = json.dumps({"outcome": "failed", "code": code, "reason": reason, "message": message})
    return f"if {when}; then finish {code} '{outcome}'; fi\n"


def test_a_killed_worker_ends_the_attempt_and_the_next_one_goes_on(run: Stage) -> None:
    run.stunt("train", WORKS)
    run.apply(TWO_NODES)
    run.wait("both ranks", lambda: len(run.starts()) == 5)
    assert signal_pod(run.pod("run-train-1-worker-0"), signal.SIGKILL)

    run.wait_for("Succeeded", seconds=90)
    train = run.stage("train")
    assert (train["attempts"], train["failures"]) == (2, 1)
    assert {"train 1 0", "train 1 1", "train 2 0"} <= set(run.starts())
    assert run.status["restarts"] == {"user": 1, "infrastructure": 0}
    assert any("killed from outside" in one["note"] for one in run.events())


def test_a_real_memory_limit_halves_the_micro_batch_once(run: Stage) -> None:
    run.stunt("train", "if [ $attempt = 1 ]; then exec tail /dev/zero; fi\n")
    run.apply({"training": {"microBatchSize": 8, "gradientAccumulationSteps": 4}})
    run.wait_for("Succeeded", seconds=120)

    assert run.stage("train")["microBatchSize"] == 4
    files = run.children("configmaps", "v1")
    settings = [
        json.loads(one["data"]["run.json"])["training"]
        for one in files
        if "run.json" in one["data"]
    ]
    sizes = {(one["micro_batch_size"], one["gradient_accumulation_steps"]) for one in settings}
    assert sizes == {(8, 4), (4, 8)}


def test_memory_that_does_not_suffice_twice_is_told_with_a_remedy(run: Stage) -> None:
    run.stunt("train", "exec tail /dev/zero\n")
    run.apply()
    stalled = run.wait_for("Stalled", seconds=120)

    assert stalled["reason"] == "OutOfMemory"
    assert "maxLength" in stalled["message"]
    assert run.condition("Succeeded")["status"] == "False"


def test_input_errors_are_final_and_shown_in_the_trainers_words(run: Stage) -> None:
    run.stunt("filter", ends(64, "InvalidInput", "Row 7 has no answer. Add one.", "true"))
    run.apply()
    stalled = run.wait_for("Stalled")

    assert stalled["reason"] == "InvalidInput"
    assert "Row 7 has no answer. Add one." in stalled["message"]
    assert run.starts() == ["fetch 1 0", "filter 1 0"]
    assert run.condition("DatasetReady")["status"] == "Unknown"


def test_a_source_that_does_not_answer_is_asked_again(run: Stage) -> None:
    run.stunt(
        "fetch",
        ends(
            69,
            "SourceUnavailable",
            "The hub is away.",
            when="[ ! -f /workspace/x ] && touch /workspace/x",
        ),
    )
    run.apply()
    run.wait_for("Succeeded", seconds=120)

    assert run.stage("fetch")["attempts"] == 2
    assert any(one["reason"] == "SourceUnavailable" for one in run.events())


def test_codes_are_read_through_torchrun(run: Stage) -> None:
    outcome = {"outcome": "failed", "code": 76, "reason": "NumericFailure", "message": "NaN at 9."}
    run.stunt("train", f"finish 1 '{json.dumps(outcome)}'\n")
    run.apply()
    stalled = run.wait_for("Stalled")

    assert (stalled["reason"], "NaN at 9." in stalled["message"]) == ("NumericFailure", True)


def test_without_a_last_word_the_end_of_the_log_is_shown(run: Stage) -> None:
    run.stunt("prepare", "echo 'something odd happened' >&2; exit 3\n")
    run.apply({"runPolicy": {"backoffLimit": 0}})
    stalled = run.wait_for("Stalled")

    assert stalled["reason"] == "BackoffLimitExceeded"
    assert "something odd happened" in stalled["message"]


def test_a_deleted_pod_saves_and_the_attempt_is_free(run: Stage) -> None:
    run.stunt("train", SAVES)
    run.apply(TWO_NODES)
    run.wait("both ranks", lambda: len(run.starts()) == 5)
    for rank in ("master-0", "worker-0"):
        run.space.kubectl("delete", "pod", f"run-train-1-{rank}", "--wait=false")

    run.wait_for("Succeeded", seconds=120)
    train = run.stage("train")
    assert train["failures"] == 0
    assert train["attempts"] >= 2


def test_an_evicted_pod_is_free(run: Stage) -> None:
    run.stunt("train", SAVES)
    run.apply()
    run.wait_state("train", "Running")
    name = "run-train-1-master-0"
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": run.space.name},
    }
    run.space.api.create(f"{run.space.path('pods')}/{name}/eviction", eviction)

    run.wait_for("Succeeded", seconds=120)
    assert run.stage("train")["failures"] == 0
    assert run.status["training"]["lastCheckpoint"]["step"] == 7


def test_a_hang_is_ended_after_the_stall_timeout(run: Stage) -> None:
    run.stunt("train", WORKS)
    run.apply({"runPolicy": {"stallTimeoutSeconds": 4, "terminationGracePeriodSeconds": 30}})
    run.wait_state("train", "Running")
    signal_pod(run.pod("run-train-1-master-0"), signal.SIGSTOP)

    run.wait_for("Succeeded", seconds=120)
    assert run.stage("train")["attempts"] == 2
    assert any(one["reason"] == "Hanging" for one in run.events())


def test_attempts_that_save_nothing_end_with_no_progress(run: Stage) -> None:
    run.stunt("train", "sleep 0.3; exit 70\n")
    run.apply({"runPolicy": {"noProgressLimit": 2, "backoffLimit": 9}})
    stalled = run.wait_for("Stalled", seconds=90)

    assert stalled["reason"] == "NoProgress"
    assert run.stage("train")["attempts"] == 2


def test_an_image_that_does_not_exist_is_told_within_half_a_minute(run: Stage) -> None:
    run.apply({"compute": {"pool": "no-image", "nodes": 1, "gpusPerNode": 0}})
    run.wait_state("prepare", "Succeeded")
    stalled = run.wait_for("Stalled", seconds=30)

    assert stalled["reason"] == "StartFailed"
    assert "image" in stalled["message"]
    assert run.condition("Succeeded")["status"] == "Unknown", "it may still become well"


def test_an_image_that_does_not_come_in_time_is_given_up(run: Stage) -> None:
    run.apply(
        {
            "compute": {"pool": "no-image", "nodes": 1, "gpusPerNode": 0},
            "runPolicy": {"startDeadlineSeconds": 15},
        }
    )
    run.wait_for("Succeeded", "False", seconds=90)
    assert run.stage("train")["reason"] == "StartFailed"


def test_no_node_means_queued_and_not_stalled(run: Stage) -> None:
    run.apply({"compute": {"pool": "nowhere", "nodes": 1, "gpusPerNode": 0}})
    run.wait("the scheduler's sentence", lambda: "No node" in run.condition("Ready")["message"])

    assert run.condition("Stalled")["status"] == "False"
    assert run.condition("Ready")["reason"] == "Queued"


def test_a_stalled_run_is_tried_again_when_asked(run: Stage) -> None:
    run.stunt("filter", ends(64, "InvalidInput", "Bad.", "[ ! -f /workspace/mended ]"))
    run.apply()
    run.wait_for("Stalled")
    (run.workspace / "mended").touch()
    run.space.kubectl("annotate", "ut", "run", "uncensor.dev/retry=1")

    run.wait_for("Succeeded", seconds=90)
    assert run.stage("filter")["attempts"] == 2
