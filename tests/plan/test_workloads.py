"""What the pods of a training are told, and what they may reach."""

import pytest

from support.simulation import Simulation, a_spec

PLACES = {
    "wandb": {"project": "p", "tokenSecretRef": {"name": "w", "key": "word"}},
    "mlflow": {"trackingUri": "http://mlflow:5000", "experiment": "e"},
    "tensorboard": {},
}
WORKSPACE = {"tensorboard": {}, "trackio": {"project": "p"}, "mlflow": {"experiment": "e"}}


def a_training(**spec):
    sim = Simulation(a_spec(**spec))
    sim.pass_stages("fetch", "filter", "prepare").settle()
    return sim


def pod_of(sim, stage="train"):
    spec = sim.child(f"r-{stage}-1")["spec"]
    if "pytorchReplicaSpecs" in spec:
        spec = spec["pytorchReplicaSpecs"]["Master"]
    return spec["template"]["spec"]


def environment(pod):
    return {one["name"]: one["value"] for one in pod["containers"][0]["env"]}


def secrets(pod):
    """(Secret, key, file) of everything that a pod gets to read."""
    return [
        (source["secret"]["name"], item["key"], item["path"])
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        for item in source["secret"]["items"]
    ]


@pytest.mark.parametrize("grace", [30, 300, 3600])
def test_torchrun_ends_before_the_kubelet_kills_it(grace):
    pod = pod_of(a_training(runPolicy={"terminationGracePeriodSeconds": grace}))
    assert pod["terminationGracePeriodSeconds"] == grace
    assert int(environment(pod)["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"]) == grace - 10


def test_only_a_training_gets_the_tokens_of_the_places_that_metrics_go_to():
    sim = a_training(reporting=PLACES)
    assert secrets(pod_of(sim)) == [("w", "word", "wandb")]
    assert environment(pod_of(sim))["UNCENSOR_TOKEN_FOLDER"]
    assert secrets(pod_of(sim, "prepare")) == []


@pytest.mark.parametrize(
    ("reporting", "reaches"),
    [(None, False), (WORKSPACE, False), (PLACES, True)],
    ids=["nowhere", "to the workspace", "to servers"],
)
def test_a_training_reaches_the_world_only_when_its_metrics_go_there(reporting, reaches):
    sim = a_training(**({"reporting": reporting} if reporting else {}))
    policies = {name for kind, name in sim.objects if kind == "NetworkPolicy"}
    assert {"r-pods", "r-fetch"} <= policies
    assert ({"r-train", "r-train-control"} <= policies) is reaches
