"""A run from its creation to its end, and what people do to it."""

import pytest

from support.driving import Driver, states, suspend, training
from support.simulation import Simulation, a_spec, settings_with

STAGES = ("fetch", "filter", "prepare", "train", "probe", "evaluate", "report")


def test_a_run_passes_through_its_stages_in_order():
    driver = Driver(Simulation()).walk()
    assert driver.sim.created == [f"r-{stage}-1" for stage in STAGES]
    assert driver.sim.status["phase"] == "Succeeded"
    assert driver.sim.status["finishedAt"]


def test_a_finished_run_is_left_alone():
    sim = Driver(Simulation()).walk().sim
    writes = sim.writes
    for _ in range(3):
        assert sim.wait(300).once().steps == ()
    assert sim.writes == writes


def test_what_stages_found_is_in_the_status():
    status = Driver(Simulation()).walk().sim.status
    assert status["filter"]["dropped"] == 3
    assert status["training"]["loss"] == "1.25"
    assert status["columns"]["refusals"] == "50% -> 0%"
    assert status["model"]["parameters"] == 1000
    assert {one["name"] for one in status["artifacts"]} == {"model", "report"}


def test_the_control_arm_is_trained_after_the_filtered_one():
    sim = Driver(Simulation(a_spec(training={"control": True}))).walk().sim
    assert sim.created[3:5] == ["r-train-1", "r-train-control-1"]


def test_a_stage_that_was_complete_already_is_skipped():
    sim = Simulation().settle().start("r-fetch-1")
    sim.end_pod("r-fetch-1-x", 0, message={"outcome": "skipped"})
    sim.conclude("r-fetch-1", "Complete")
    sim.settle()
    assert states(sim)["fetch"] == "Skipped"
    assert sim.has_child("r-filter-1")


@pytest.mark.parametrize("stage", STAGES)
def test_suspension_stops_any_stage_and_resuming_goes_on_with_it(stage):
    driver = Driver(Simulation())
    driver.walk(lambda sim: sim.status.get("phase") == stage and sim.has_child(f"r-{stage}-1"))
    suspend(driver.sim)
    driver.walk()
    assert driver.sim.status["phase"] == "Suspended"
    assert not driver.sim.pods or all(
        pod["status"]["phase"] == "Succeeded" for pod in driver.sim.pods.values()
    )
    suspend(driver.sim, False)
    driver.walk()
    assert driver.sim.status["phase"] == "Succeeded"
    assert driver.sim.created.count(f"r-{stage}-2") <= 1
    assert driver.sim.status["restarts"] == {"user": 0, "infrastructure": 0}


def test_a_run_that_is_created_suspended_creates_nothing():
    sim = Simulation(a_spec(suspend=True)).settle()
    assert sim.objects == {}
    assert sim.condition("Suspended") == ("True", "Suspended")


def test_a_finished_run_stays_finished_when_it_is_suspended():
    sim = Driver(Simulation()).walk().sim
    suspend(sim).settle()
    assert sim.condition("Succeeded")[0] == "True"
    assert sim.condition("Suspended")[0] == "False"


def test_a_run_is_suspended_although_its_pool_is_gone():
    sim = training()
    sim.settings = settings_with(defaultPool="other", pools=[{"name": "other", "profile": "cpu"}])
    suspend(sim).settle()
    assert not sim.has_child("r-train-1")
    assert sim.status["phase"] == "Suspended"


def test_suspended_pods_on_a_lost_node_are_removed_by_force():
    sim = training()
    sim.absent.add("node-1")
    suspend(sim).settle()
    assert sim.status["phase"] == "Suspending"
    sim.wait(61).settle()
    assert sim.status["phase"] == "Suspended"


def test_a_changed_filter_makes_open_and_done_stages_stale():
    driver = Driver(Simulation())
    driver.walk(lambda sim: sim.has_child("r-prepare-1"))
    driver.sim.edit(lambda spec: spec.update(filter={"maxDropFraction": "0.9"}))
    driver.sim.settle()
    assert states(driver.sim)["filter"] != "Succeeded"
    driver.walk()
    assert driver.sim.created[:5] == [
        "r-fetch-1",
        "r-filter-1",
        "r-prepare-1",
        "r-filter-2",
        "r-prepare-2",
    ]
    assert driver.sim.status["phase"] == "Succeeded"


def test_a_changed_source_ends_the_stage_that_works_with_the_old_one():
    driver = Driver(Simulation())
    driver.walk(lambda sim: sim.has_child("r-filter-1"))
    model = {"huggingFace": {"repo": "owner/other"}}
    driver.sim.edit(lambda spec: spec.update(model=model)).settle()
    assert driver.sim.children == ["r-fetch-1", "r-fetch-2"]


def test_a_changed_evaluation_is_done_again_with_its_report_and_nothing_else():
    driver = Driver(Simulation()).walk()
    evaluation = {"refusal": {"maxNewTokens": 32}}
    driver.sim.edit(lambda spec: spec.update(evaluation=evaluation))
    driver.sim.once()
    assert driver.sim.condition("Succeeded")[0] == "Unknown"
    assert driver.sim.condition("Evaluated")[0] == "Unknown"
    driver.walk()
    assert driver.sim.created[7:] == ["r-evaluate-2", "r-report-2"]
    assert driver.sim.status["phase"] == "Succeeded"


@pytest.mark.parametrize(
    "change",
    [
        {"runPolicy": {"backoffLimit": 7}},
        {"compute": {"pool": "cpu", "gpusPerNode": 0, "stages": {"report": {"cpus": 2}}}},
    ],
    ids=["policy", "resources"],
)
def test_changes_that_decide_no_output_repeat_nothing(change):
    driver = Driver(Simulation()).walk()
    driver.sim.edit(lambda spec: spec.update(change))
    driver.walk()
    assert len(driver.sim.created) == len(STAGES)
    assert driver.sim.status["observedGeneration"] == 2


def test_a_deleted_run_is_left_to_the_garbage_collector():
    sim = training()
    sim.run["metadata"]["deletionTimestamp"] = "2026-01-01T13:00:00Z"
    wanted = sim.plan()
    assert wanted.steps == ()
    assert wanted.status is None


def test_pods_of_a_finished_run_are_removed_when_their_time_has_come():
    sim = Driver(Simulation(a_spec(runPolicy={"ttlSecondsAfterFinished": 600}))).walk().sim
    assert len(sim.children) == len(STAGES)
    sim.wait(600).settle()
    assert sim.children == []
    assert sim.status["phase"] == "Succeeded"
    assert ("PersistentVolumeClaim", "r-workspace") in sim.objects


def test_pods_of_a_run_that_came_too_late_are_removed_too():
    policy = {"ttlSecondsAfterFinished": 600, "activeDeadlineSeconds": 60}
    sim = training(runPolicy=policy)
    sim.wait(60).settle()
    assert sim.children
    sim.wait(600).settle()
    assert sim.children == []


def test_a_run_that_is_active_for_too_long_is_stopped_and_goes_on_once_it_may():
    sim = training(runPolicy={"activeDeadlineSeconds": 3600})
    sim.wait(3600).settle()
    assert sim.condition("Stalled") == ("True", "DeadlineExceeded")
    assert not sim.has_child("r-train-1")
    sim.wait(7200)
    sim.edit(lambda spec: spec.update(runPolicy={"activeDeadlineSeconds": 4000})).settle()
    assert sim.has_child("r-train-2")
    sim.start("r-train-2").wait(390).settle()
    assert sim.has_child("r-train-2")
    sim.wait(20).settle()
    assert sim.condition("Stalled")[1] == "DeadlineExceeded"


def test_time_suspended_does_not_count_as_active():
    sim = training(runPolicy={"activeDeadlineSeconds": 3600})
    suspend(sim).settle()
    sim.wait(10_000)
    suspend(sim, False).settle()
    assert sim.condition("Stalled")[0] == "False"
    assert sim.status["suspendedSeconds"] == 10_000


def test_time_at_rest_does_not_count_as_active():
    driver = Driver(Simulation(a_spec(runPolicy={"activeDeadlineSeconds": 3600}))).walk()
    driver.sim.wait(90_000)
    driver.sim.edit(lambda spec: spec.update(evaluation={"refusal": {"maxNewTokens": 32}}))
    driver.walk()
    assert driver.sim.status["phase"] == "Succeeded"
