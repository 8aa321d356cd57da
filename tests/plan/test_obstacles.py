"""What keeps a run from going on is told, and once it is gone the run goes on."""

import pytest

from support.driving import Driver, training
from support.simulation import Simulation, a_spec, settings_with
from uncensor_operator.plan.world import LiveProgress, WarningEvent

GPUS = {"pool": "a100-80gb", "nodes": 1, "gpusPerNode": 4}


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
