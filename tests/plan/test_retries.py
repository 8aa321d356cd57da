"""Attempts that fail, hang, wait or are taken away, and what comes after them."""

import pytest

from support.driving import Driver, badly, nothing, saved, states, suspend, training
from support.simulation import Simulation, a_spec


def test_failures_wait_longer_each_time_and_stop_at_the_limit():
    driver = Driver(Simulation(), {f"r-filter-{n}": badly(70) for n in range(1, 9)})
    driver.walk()
    sim = driver.sim
    assert [name for name in sim.created if "filter" in name] == [
        f"r-filter-{n}" for n in range(1, 5)
    ]
    assert sim.condition("Stalled") == ("True", "BackoffLimitExceeded")
    assert (sim.now - Simulation().now).total_seconds() >= 10 + 20 + 40
    assert sim.status["restarts"]["user"] == 4


def test_no_attempt_begins_before_its_wait_is_over():
    driver = Driver(Simulation(), {"r-fetch-1": badly(69)})
    driver.walk(lambda sim: sim.status.get("restarts", {}).get("user") == 1)
    assert driver.sim.wait(8).once().steps == ()
    driver.sim.wait(4).settle()
    assert driver.sim.has_child("r-fetch-2")


def test_the_retry_annotation_starts_a_given_up_stage_again_once():
    driver = Driver(Simulation(), {"r-filter-1": badly(64)}).walk()
    sim = driver.sim
    assert sim.condition("Succeeded") == ("False", "InvalidInput")
    sim.annotate(retry="now").settle()
    assert sim.children[-1] == "r-filter-2"
    assert sim.status["restarts"]["user"] == 0
    driver.walk()
    assert sim.created.count("r-filter-2") == 1
    assert sim.status["phase"] == "Succeeded"


def test_a_retry_that_is_longer_than_the_status_can_hold_is_followed_once():
    sim = Simulation().settle()
    sim.annotate(retry="x" * 300).settle()
    sim.start("r-fetch-1").fail("r-fetch-1", 64)
    sim.settle()
    assert sim.condition("Stalled") == ("True", "InvalidInput")


def test_a_retry_does_not_wait_any_longer():
    driver = Driver(Simulation(), {"r-fetch-1": badly(69)})
    driver.walk(lambda sim: sim.status.get("restarts", {}).get("user") == 1)
    driver.sim.annotate(retry="now").settle()
    assert driver.sim.has_child("r-fetch-2")


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_global_one():
    sim = training(training={"microBatchSize": 8, "gradientAccumulationSteps": 4})
    saved(sim, "r-train-1", 40)
    sim.fail("r-train-1", 137, reason="OOMKilled").settle()
    assert sim.status["restarts"]["user"] == 1
    sim.wait(12).settle()
    mounted = sim.child("r-train-2")["spec"]["pytorchReplicaSpecs"]["Master"]["template"]
    (volume,) = [one for one in mounted["spec"]["volumes"] if one["name"] == "run-file"]
    body = sim.objects[("ConfigMap", volume["configMap"]["name"])]["data"]["run.json"]
    assert '"micro_batch_size": 4' in body
    assert '"gradient_accumulation_steps": 8' in body
    assert sim.stage("train")["startStep"] == 40
    sim.start("r-train-2").fail("r-train-2", 137, reason="OOMKilled").settle()
    assert sim.condition("Stalled") == ("True", "OutOfMemory")


@pytest.mark.parametrize("arm", ["train", "train-control"])
def test_attempts_that_save_nothing_new_are_given_up(arm):
    driver = Driver(Simulation(a_spec(training={"control": True})))
    driver.walk(lambda sim: sim.has_child(f"r-{arm}-1"))
    sim = driver.sim
    for attempt in (1, 2, 3, 4):
        name = f"r-{arm}-{attempt}"
        sim.start(name).settle() if not sim.pods_of(name) else sim.settle()
        saved(sim, name, 40)  # only the first one is new: the others resume from it
        sim.fail(name, 70).settle()
        sim.wait(700).settle()
        if sim.status["phase"] == "Stalled":
            break
    assert sim.condition("Stalled") == ("True", "NoProgress")
    assert attempt == 4


def test_interruptions_are_free_and_bounded():
    sim = Simulation(a_spec(runPolicy={"maxInfrastructureRestarts": 2}))
    for attempt in (1, 2, 3):
        name = f"r-fetch-{attempt}"
        sim.settle().wait(2).settle()
        sim.start(name).take_pod(f"{name}-x")
        sim.fail(name, 143).settle()
    assert sim.condition("Stalled") == ("True", "RestartsExhausted")
    assert sim.status["restarts"] == {"user": 0, "infrastructure": 3}


def test_a_saved_stop_goes_on_at_once():
    sim = training()
    saved(sim, "r-train-1", 30)
    sim.fail("r-train-1", 75, message={"outcome": "stopped", "message": "Saved."}).settle()
    sim.wait(1).settle()
    assert sim.has_child("r-train-2")
    assert sim.status["training"]["lastCheckpoint"]["step"] == 30


def test_pods_on_a_lost_node_are_removed_by_force_only_after_the_grace():
    sim = training()
    sim.absent.add("node-1")
    sim.take_pod("r-train-1-master-0", "DeletionByTaintManager")
    sim.settle()
    assert "r-train-1-master-0" in sim.pods
    sim.wait(50).settle()
    assert "r-train-1-master-0" in sim.pods
    assert not sim.has_child("r-train-2")
    sim.wait(11).settle()
    assert "r-train-1-master-0" not in sim.pods
    assert sim.has_child("r-train-2")
    assert sim.status["restarts"] == {"user": 0, "infrastructure": 1}


def test_pods_that_end_slowly_on_a_living_node_are_never_forced():
    sim = training()
    sim.lingers = True
    suspend(sim).settle()
    sim.wait(3600).settle()
    assert "r-train-1-master-0" in sim.pods


def test_a_child_that_somebody_deletes_is_made_again_as_the_next_attempt():
    sim = training()
    del sim.objects[("PyTorchJob", "r-train-1")]
    sim.pods.clear()
    sim.settle().wait(1).settle()
    assert sim.children[-1] == "r-train-2"
    assert "deleted by somebody" in sim.events[-2].message


def test_living_pods_of_a_deleted_child_hold_the_next_attempt_back():
    sim = training()
    del sim.objects[("PyTorchJob", "r-train-1")]
    sim.settle().wait(60).settle()
    assert not sim.has_child("r-train-2")
    sim.end_pod("r-train-1-master-0", 1)
    sim.settle()
    assert sim.has_child("r-train-2")


def test_living_pods_of_an_older_run_of_this_name_hold_everything_back():
    sim = Simulation().settle()
    job = sim.objects.pop(("Job", "r-fetch-1"))
    sim.add_pod(job, "x")
    sim.run["status"] = {"observedGeneration": -1}
    sim.settle()
    assert sim.children == []
    sim.pods.clear()
    sim.settle()
    assert sim.children == ["r-fetch-1"]


def test_a_training_without_a_step_is_replaced():
    driver = Driver(Simulation(a_spec(runPolicy={"stallTimeoutSeconds": 60})))
    driver.behaviours["r-train-1"] = nothing
    driver.walk()
    assert "r-train-2" in driver.sim.created
    assert any(event.reason == "Hanging" for event in driver.sim.events)
    assert driver.sim.status["phase"] == "Succeeded"


def test_a_training_that_steps_is_not_replaced():
    sim = training(runPolicy={"stallTimeoutSeconds": 60})
    for step in range(1, 6):
        sim.wait(50)
        saved(sim, "r-train-1", step)
        sim.settle()
    assert sim.children[-1] == "r-train-1"
    assert sim.status["columns"]["progress"] == "5/100 (5%)"


def test_queued_attempts_of_kueue_wait_without_a_deadline():
    sim = Simulation().settle()
    sim.child("r-fetch-1")["spec"]["suspend"] = True
    sim.wait(1_000_000).settle()
    assert states(sim)["fetch"] == "Queued"
    assert "held back" in sim.message()
    assert sim.condition("Reconciling") == ("True", "Queued")


def test_pods_that_do_not_start_in_time_end_the_run_and_name_the_cause():
    sim = Simulation(a_spec(runPolicy={"startDeadlineSeconds": 60})).settle()
    pod = sim.add_pod(sim.child("r-fetch-1"), "x", "node-1")
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": sim._text()}
    pod["status"] |= {
        "conditions": [scheduled],
        "containerStatuses": [{"name": "pytorch", "state": waiting}],
    }
    sim.wait(20).settle()
    assert sim.condition("Stalled") == ("True", "StartFailed")
    assert sim.condition("Succeeded")[0] == "Unknown"
    sim.wait(60).settle()
    assert sim.condition("Succeeded") == ("False", "StartFailed")
    assert "not found" in sim.message()
    assert sim.children == []
