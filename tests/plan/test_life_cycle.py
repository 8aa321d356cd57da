"""A run from its creation to its end, and everything that people and clusters do to it."""

import pytest

from support.driving import Driver, badly, nothing
from support.simulation import Simulation, a_spec, settings_with
from uncensor_operator.plan.world import LiveProgress, WarningEvent

STAGES = ("fetch", "filter", "prepare", "train", "probe", "evaluate", "report")
GPUS = {"pool": "a100-80gb", "nodes": 1, "gpusPerNode": 4}


def training(**spec):
    """A run whose training has just begun to run."""
    sim = Simulation(a_spec(**spec))
    sim.pass_stages("fetch", "filter", "prepare")
    sim.start("r-train-1").settle()
    return sim


def saved(sim, child, step, total=100):
    pod = sim.pods[f"{child}-master-0"]["metadata"]["uid"]
    sim.progress[child] = LiveProgress(
        pod, step=step, total=total, checkpoint=step, checkpoint_at=sim.now, seen_at=sim.now
    )


def suspend(sim, value=True):
    return sim.edit(lambda spec: spec.update(suspend=value))


def states(sim):
    return {one["name"]: one["state"] for one in sim.status["stages"]}


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


REFUSED = [
    pytest.param(a_spec(compute={"pool": "tpu"}), "UnknownPool", "a100-80gb", id="unknown pool"),
    pytest.param(
        a_spec(compute={**GPUS, "gpusPerNode": 8}), "UnknownPool", "4 GPUs", id="too many GPUs"
    ),
    pytest.param(
        a_spec(compute={"pool": "cpu", "gpusPerNode": 1}), "UnknownPool", "no GPUs", id="no GPUs"
    ),
    pytest.param(a_spec(epochs=3), "InvalidInput", "epochs", id="a field of another release"),
    pytest.param(
        a_spec(evaluation={"benchmarks": ["mmlu"]}), "NotSupported", "benchmarks", id="not yet"
    ),
    pytest.param(
        a_spec(
            training={"globalBatchSize": 5}, compute={"pool": "cpu", "nodes": 2, "gpusPerNode": 0}
        ),
        "InvalidInput",
        "globalBatchSize",
        id="batch that cannot be divided",
    ),
]


@pytest.mark.parametrize(("spec", "reason", "words"), REFUSED)
def test_a_spec_that_cannot_work_is_stalled_and_creates_nothing(spec, reason, words):
    sim = Simulation(spec).settle()
    assert sim.objects == {}
    assert sim.condition("Stalled") == ("True", reason)
    assert words in sim.message()
    assert sim.status["observedGeneration"] == 1


def test_a_corrected_spec_goes_on_by_itself():
    sim = Simulation(a_spec(compute={"pool": "tpu"})).settle()
    sim.edit(lambda spec: spec.update(compute={"pool": "cpu", "gpusPerNode": 0})).settle()
    assert sim.children == ["r-fetch-1"]


def test_a_model_that_does_not_fit_its_gpus_is_stopped_before_training():
    sim = Simulation(a_spec(compute=GPUS, training={"deepspeed": {"stage": 0}})).settle()
    driver = Driver(sim)
    shape = {"parameters": 70 * 10**9, "hidden_size": 8192, "layers": 80, "vocabulary": 32000}
    driver.behaviours["r-fetch-1"] = lambda one, name: one.complete(name, {"model": shape})
    driver.walk()
    assert sim.condition("Stalled") == ("True", "DoesNotFit")
    assert "80Gi" in sim.message()
    assert not any("train" in name for name in sim.created)
    edited = {"deepspeed": {"stage": 3}, "method": "lora", "microBatchSize": 1}
    sim.edit(lambda spec: spec.update(training=edited)).settle()
    driver.walk(lambda one: "r-train-1" in one.created or one.condition("Stalled")[0] == "True")


def test_a_claim_that_finds_no_volume_stalls_the_run_and_then_goes_on():
    sim = Simulation()
    sim.binds = False
    sim.settle()
    about = "PersistentVolumeClaim/r-workspace"
    sim.warnings.append(WarningEvent(about, "ProvisioningFailed", "no such class"))
    sim.wait(20).settle()
    assert sim.condition("Stalled") == ("True", "WorkspaceFailure")
    assert sim.condition("WorkspaceReady")[0] == "False"
    assert "no such class" in sim.message()
    sim.objects[("PersistentVolumeClaim", "r-workspace")]["status"]["phase"] = "Bound"
    sim.warnings.clear()
    sim.settle()
    assert sim.condition("Stalled")[0] == "False"
    assert sim.condition("WorkspaceReady")[0] == "True"


def test_a_claim_for_one_node_cannot_serve_two():
    compute = {"pool": "cpu", "nodes": 2, "gpusPerNode": 0}
    sim = Simulation(a_spec(compute=compute, workspace={"accessMode": "ReadWriteOnce"}))
    sim.settle()
    assert sim.condition("Stalled") == ("True", "InvalidInput")
    assert "ReadWriteMany" in sim.message()


def test_an_existing_claim_for_one_node_cannot_serve_two():
    compute = {"pool": "cpu", "nodes": 2, "gpusPerNode": 0}
    sim = Simulation(a_spec(compute=compute, workspace={"existingClaim": "mine"}))
    sim.objects[("PersistentVolumeClaim", "mine")] = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "mine", "uid": "m", "creationTimestamp": "2026-01-01T11:00:00Z"},
        "spec": {"accessModes": ["ReadWriteOnce"]},
        "status": {"phase": "Bound"},
    }
    sim.settle()
    assert sim.condition("Stalled") == ("True", "WorkspaceFailure")
    assert "every node writes to it" in sim.message()


def test_an_existing_claim_that_is_missing_is_not_made():
    sim = Simulation(a_spec(workspace={"existingClaim": "mine"})).settle()
    assert sim.condition("Stalled") == ("True", "WorkspaceFailure")
    assert "'mine'" in sim.message()
    assert ("PersistentVolumeClaim", "r-workspace") not in sim.objects


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda claim: claim["status"].update(phase="Lost"), "lost its volume"),
        (lambda claim: claim["metadata"].update(deletionTimestamp="x"), "being deleted"),
    ],
)
def test_a_workspace_that_goes_away_is_told(change, words):
    sim = training()
    change(sim.objects[("PersistentVolumeClaim", "r-workspace")])
    sim.settle()
    assert sim.condition("Stalled") == ("True", "WorkspaceFailure")
    assert words in sim.message()


def test_a_deleted_workspace_is_not_replaced_by_an_empty_one():
    sim = training()
    del sim.objects[("PersistentVolumeClaim", "r-workspace")]
    sim.settle()
    assert sim.condition("Stalled") == ("True", "WorkspaceFailure")
    assert "was deleted" in sim.message()
    assert ("PersistentVolumeClaim", "r-workspace") not in sim.objects


def test_the_claim_is_owned_exactly_while_it_shall_go_with_the_run():
    sim = Simulation().settle()
    claim = sim.objects[("PersistentVolumeClaim", "r-workspace")]["metadata"]
    assert "ownerReferences" not in claim
    sim.edit(lambda spec: spec.update(workspace={"retain": False})).settle()
    assert [one["uid"] for one in claim["ownerReferences"]] == ["run-uid"]
    sim.edit(lambda spec: spec.update(workspace={"retain": True})).settle()
    assert claim["ownerReferences"] == []


def test_numbers_that_the_api_cannot_hold_do_not_stop_the_run():
    sim = training()
    pod = sim.pods["r-train-1-master-0"]["metadata"]["uid"]
    sim.progress["r-train-1"] = LiveProgress(
        pod, step=1, total=2, loss=float("nan"), eta_seconds=-5.0, mfu=float("inf")
    )
    sim.settle()
    assert "loss" not in sim.status["training"]
    assert sim.stage("train")["progress"]["etaSeconds"] == 0
    sim.complete("r-train-1", {"finalLoss": float("inf"), "tokensPerSecond": float("nan")})
    sim.settle()
    assert sim.stage("train")["state"] == "Succeeded"


def test_half_a_character_in_a_message_does_no_harm():
    sim = Simulation().settle().start("r-fetch-1")
    sim.fail("r-fetch-1", 64, message='{"outcome": "failed", "message": "bad \\ud800 row"}')
    sim.settle()
    assert sim.stage("fetch")["message"] == "bad ? row"


def test_a_share_of_a_core_is_enough_to_estimate_with():
    run = Simulation(
        a_spec(),
        settings_with(pools=[{"name": "cpu", "profile": "cpu", "cpus": 0.4}]),
    )
    run.settle()
    shape = {"parameters": 10**6, "hidden_size": 64, "layers": 2, "vocabulary": 1000}
    run.start("r-fetch-1").complete("r-fetch-1", {"model": shape}).settle()

    assert run.status["model"]["parameters"] == 10**6
    assert run.condition("Stalled")[0] == "False"
