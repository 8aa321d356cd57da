"""One attempt under observation: what it waits for, what is in its way, how it ended."""

from dataclasses import replace
from datetime import timedelta

import pytest

from support.simulation import START, Simulation, a_spec
from uncensor_operator.names import Reason
from uncensor_operator.plan.attempts import (
    cannot_start,
    decisive_exit,
    disruption_of,
    obstacle_of,
    refused,
    silent_seconds,
    taken_away,
    waiting_of,
)
from uncensor_operator.plan.pods import Exit, Pod, pod_of
from uncensor_operator.plan.world import Child, LiveProgress, WarningEvent

WORLD = Simulation().world()
LATER = replace(WORLD, now=START + timedelta(seconds=100))


def a_pod(name="p", **fields):
    return Pod(name=name, uid=f"uid-{name}", created=START, **fields)


def a_child(*pods, **fields):
    values = {"kind": "PyTorchJob", "stage": "train", "attempt": 1, "digest": "d"} | fields
    return Child(name="c", uid="u", created=START, pods=pods, **values)


def an_exit(code, seconds=0, **fields):
    return Exit(code, finished_at=START + timedelta(seconds=seconds), **fields)


DECISIVE = [
    pytest.param(
        [an_exit(1, 0, outcome={"code": 70, "outcome": "failed"}), an_exit(137, 5)],
        1,
        id="a rank that was killed, not rank 0 that lost its peer",
    ),
    pytest.param(
        [an_exit(1, 0, outcome={"code": 64}), an_exit(137, 1, reason="OOMKilled")],
        1,
        id="killed for memory before everything",
    ),
    pytest.param(
        [an_exit(137, 0), an_exit(1, 9, outcome={"code": 64})],
        1,
        id="what the trainer says about the input before a signal",
    ),
    pytest.param(
        [an_exit(137, 0), an_exit(1, 3, outcome={"code": 75})], 1, id="saved before killed"
    ),
    pytest.param(
        [an_exit(70, 0), an_exit(64, 9, outcome={"code": 64, "reason": "OutOfMemory"})],
        1,
        id="memory as the trainer tells it",
    ),
    pytest.param([an_exit(70, 9), an_exit(70, 3)], 1, id="the first among equals"),
    pytest.param([an_exit(0, 0), an_exit(74, 3)], 1, id="one that ended well says nothing"),
]


@pytest.mark.parametrize(("exits", "index"), DECISIVE)
def test_the_end_that_tells_why_is_found_among_several(exits, index):
    pods = [a_pod(str(n), exit=one, phase="Failed") for n, one in enumerate(exits)]
    assert decisive_exit(a_child(*pods)) is exits[index]
    assert decisive_exit(a_child(*reversed(pods))) is exits[index]


def test_no_pod_tells_nothing():
    assert decisive_exit(a_child()) is None


def test_torchruns_own_code_gives_way_to_what_the_trainer_told():
    assert Exit(1, outcome={"code": 64}).told_code == 64
    assert Exit(137, outcome={"code": 64}).told_code == 137
    assert Exit(1, outcome={"code": "64"}).told_code == 1


def test_an_attempt_held_back_by_a_queue_waits_for_it():
    assert "held back" in waiting_of(a_child(suspended=True)).message


def test_an_attempt_without_a_node_says_what_the_scheduler_says():
    child = a_child(a_pod(replica="master", unschedulable="0/3 nodes are available."))
    assert "0/3 nodes" in waiting_of(child).message


def test_an_attempt_whose_first_rank_runs_waits_for_nothing():
    assert waiting_of(a_child(a_pod(replica="master", running_since=START))) is None


IMAGE = {"waiting_reason": "ImagePullBackOff", "waiting_message": "no such image"}


def test_an_image_that_does_not_come_is_an_obstacle_with_its_remedy():
    found = obstacle_of(a_child(a_pod(**IMAGE)), LATER)
    assert found.reason is Reason.START_FAILED
    assert "no such image" in found.message
    assert "settings" in found.message


def test_nobody_is_alarmed_at_once():
    assert obstacle_of(a_child(a_pod(**IMAGE)), WORLD) is None


def test_a_container_that_cannot_be_made_is_an_obstacle():
    child = a_child(a_pod(waiting_reason="CreateContainerConfigError", waiting_message="no key"))
    assert obstacle_of(child, LATER).reason is Reason.START_FAILED


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('MountVolume.SetUp failed: secret "hf" not found', Reason.SECRET_MISSING),
        ("Unable to attach volume", Reason.WORKSPACE_FAILURE),
    ],
)
def test_what_cannot_be_mounted_shows_in_events(message, reason):
    world = replace(LATER, warnings=(WarningEvent("Pod/p", "FailedMount", message),))
    found = obstacle_of(a_child(a_pod()), world)
    assert found.reason is reason
    assert message in found.message


def test_events_about_other_pods_say_nothing():
    world = replace(LATER, warnings=(WarningEvent("Pod/q", "FailedMount", "secret"),))
    assert obstacle_of(a_child(a_pod()), world) is None


@pytest.mark.parametrize(
    ("message", "reason", "remedy"),
    [
        ("pods is forbidden: exceeded quota: gpus", Reason.QUOTA_EXCEEDED, "quota"),
        ('violates PodSecurity "restricted:latest"', Reason.REFUSED, "init-pytorch"),
        ("admission webhook denied it", Reason.REFUSED, "admission webhook"),
    ],
)
def test_refused_pods_show_in_events_of_their_controller(message, reason, remedy):
    world = replace(LATER, warnings=(WarningEvent("PyTorchJob/c", "FailedCreatePod", message),))
    found = obstacle_of(a_child(), world)
    assert found.reason is reason
    assert remedy in found.message
    assert refused(message) == found


SCHEDULED = {"scheduled_at": START, "node": "n"}


def test_the_start_deadline_counts_from_the_node_on():
    waiting = a_child(a_pod(unschedulable="no node"))
    assert cannot_start(waiting, LATER, 50) == ""
    assert "still being created" in cannot_start(a_child(a_pod(**SCHEDULED)), LATER, 50)
    assert cannot_start(a_child(a_pod(**SCHEDULED)), LATER, 100) == ""


def test_the_start_deadline_names_the_cause():
    assert "no such image" in cannot_start(a_child(a_pod(**SCHEDULED, **IMAGE)), LATER, 50)


def test_a_pod_that_ran_has_met_its_start_deadline():
    assert cannot_start(a_child(a_pod(**SCHEDULED, running_since=START)), LATER, 50) == ""


def test_a_lost_node_breaks_an_attempt_once_its_pods_are_taken_away():
    world = replace(LATER, absent_nodes=frozenset({"n"}))
    stays = a_child(a_pod(node="n", running_since=START))
    leaves = a_child(a_pod(node="n", running_since=START, gone_by=LATER.now))
    assert disruption_of(stays, world) == ""
    assert "lost" in disruption_of(leaves, world)


def test_a_preempted_pod_gets_the_time_to_save():
    child = a_child(a_pod(node="n", disruption="PreemptionByScheduler", gone_by=LATER.now))
    assert disruption_of(child, LATER) == ""
    late = replace(LATER, now=LATER.now + timedelta(seconds=31))
    assert "does not end" in disruption_of(child, late)


def test_what_the_cluster_took_is_no_failure():
    assert taken_away(a_child(a_pod(), a_pod("q", disruption="Evicted: memory"))) != ""
    assert taken_away(a_child(a_pod())) == ""


def test_a_failed_job_without_its_pod_was_robbed_of_it():
    assert taken_away(a_child(kind="Job")) != ""
    assert taken_away(a_child(kind="PyTorchJob")) == ""


MASTER = {"replica": "master", "running_since": START}


def test_silence_counts_from_the_last_step():
    pod = a_pod(**MASTER)
    seen = {"c": LiveProgress(pod.uid, step=3, seen_at=START + timedelta(seconds=60))}
    assert silent_seconds(a_child(pod), replace(LATER, progress=seen)) == 40
    assert silent_seconds(a_child(pod), LATER) == 100


def test_steps_of_an_earlier_pod_do_not_count():
    seen = {"c": LiveProgress("other", step=3, seen_at=START + timedelta(seconds=60))}
    assert silent_seconds(a_child(a_pod(**MASTER)), replace(LATER, progress=seen)) == 100


@pytest.mark.parametrize(
    "child",
    [
        pytest.param(a_child(), id="no pod"),
        pytest.param(a_child(a_pod(replica="master")), id="not started"),
        pytest.param(a_child(a_pod(**MASTER, gone_by=START)), id="being deleted"),
        pytest.param(a_child(a_pod(**MASTER, phase="Failed")), id="over"),
        pytest.param(
            a_child(a_pod(**MASTER), a_pod("w", replica="worker")), id="a worker has no node yet"
        ),
    ],
)
def test_only_an_attempt_whose_pods_all_run_can_be_silent(child):
    assert silent_seconds(child, LATER) == 0


def raw_pod(status, **metadata):
    about = {"name": "p", "uid": "u", "creationTimestamp": "2026-01-01T12:00:00Z"}
    return {"metadata": about | metadata, "status": status}


def test_the_last_word_of_a_pod_is_read():
    text = '{"outcome": "failed", "code": 64, "message": "Bad."}'
    ended = {"terminated": {"exitCode": 1, "message": text, "reason": "Error"}}
    pod = pod_of(raw_pod({"containerStatuses": [{"name": "pytorch", "state": ended}]}))
    assert (pod.exit.told_code, pod.exit.outcome["message"]) == (64, "Bad.")


@pytest.mark.parametrize("text", ["Traceback", "[1]", '"outcome"', "{", "{}", ""])
def test_a_log_tail_is_no_last_word(text):
    ended = {"terminated": {"exitCode": 1, "message": text}}
    pod = pod_of(raw_pod({"containerStatuses": [{"name": "pytorch", "state": ended}]}))
    assert pod.exit.outcome == {}
    assert pod.exit.message == text


def test_an_evicted_pod_that_never_ran_has_an_end_and_a_disruption():
    pod = pod_of(raw_pod({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}))
    assert pod.exit.code == -1
    assert pod.disruption == "Evicted: low on memory"


def test_the_begin_of_a_deletion_is_its_end_less_the_grace():
    pod = pod_of(
        raw_pod({}, deletionTimestamp="2026-01-01T12:05:00Z", deletionGracePeriodSeconds=300)
    )
    assert pod.deleting_since == START


def test_a_waiting_init_container_is_seen():
    waiting = {"name": "init", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
    assert pod_of(raw_pod({"initContainerStatuses": [waiting]})).waiting_reason == "ErrImagePull"


def test_two_nodes_make_a_worker_of_all_but_the_first():
    sim = Simulation(a_spec(compute={"pool": "cpu", "nodes": 3, "gpusPerNode": 0}))
    sim.pass_stages("fetch", "filter", "prepare").start("r-train-1")
    (child,) = [one for one in sim.world().children if one.name == "r-train-1"]
    assert sorted(pod.replica for pod in child.pods) == ["master", "worker", "worker"]
    assert child.speaker.replica == "master"
