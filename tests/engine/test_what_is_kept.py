"""The store keeps little of large objects, and a pass sees the same in it."""

import json

import pytest

from support.simulation import Simulation
from uncensor_operator.cluster.resources import JOBS, PODS, PYTORCHJOBS, Resource
from uncensor_operator.cluster.store import Key, Store
from uncensor_operator.plan.pods import pod_of
from uncensor_operator.plan.world import child_of


def kept(resource: Resource, raw: dict) -> dict:
    """What the store has of an object that a watch has shown."""
    raw = json.loads(json.dumps(raw))
    raw["metadata"] |= {"namespace": "ns", "resourceVersion": "7"}
    raw["metadata"]["labels"]["uncensor.dev/run"] = "r"
    store = Store()
    assert store.put(resource, raw) == Key("ns", "r")
    return next(iter(store.parts(Key("ns", "r"), resource)))


def a_run_in(stage: str) -> Simulation:
    before = ("fetch", "filter", "prepare") if stage == "train" else ()
    return Simulation().pass_stages(*before).settle().start(f"r-{stage}-1").settle()


@pytest.mark.parametrize(("stage", "resource"), [("fetch", JOBS), ("train", PYTORCHJOBS)])
@pytest.mark.parametrize("suspend", [True, False])
def test_a_child_looks_the_same(stage: str, resource: Resource, suspend: bool) -> None:
    run = a_run_in(stage)
    whole = run.child(f"r-{stage}-1")
    policy = whole["spec"] if resource is JOBS else whole["spec"].setdefault("runPolicy", {})
    policy["suspend"] = suspend
    assert child_of(kept(resource, whole), ()) == child_of(whole, ())
    assert child_of(whole, ()).suspended is suspend


def test_a_pod_looks_the_same() -> None:
    whole = next(iter(a_run_in("fetch").pods.values()))
    assert pod_of(kept(PODS, whole)) == pod_of(whole)
    assert pod_of(whole).node == "node-1"


def test_templates_are_not_kept() -> None:
    whole = a_run_in("fetch").child("r-fetch-1")
    assert "template" in whole["spec"]
    assert "template" not in kept(JOBS, whole)["spec"]
