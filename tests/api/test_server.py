"""The CRD's schema and CEL rules judge as the Python types do."""

import json

import pytest

from support.api_server import ApiServer
from support.bad_manifests import BAD
from support.manifests import GOOD, a_manifest, written
from uncensor_operator.api import crdgen
from uncensor_operator.api.reading import read

ADVICE = "create a new run"


@pytest.fixture(scope="module")
def server():
    return ApiServer(crdgen.crd())


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_the_server_accepts_good_manifests(server, changes):
    assert server.refusals(a_manifest(changes)) == []


@pytest.mark.parametrize("bad", [one for one in BAD if one.server_refuses], ids=lambda one: one.id)
def test_the_server_refuses_bad_manifests(server, bad):
    assert server.refusals(a_manifest(bad.changes)) != []


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_the_server_fills_in_the_same_defaults(server, changes, tmp_path):
    stored = server.defaulted(a_manifest(changes))
    (document,) = read([written(tmp_path, a_manifest(changes))])
    dumped = json.loads(document.training.model_dump_json(exclude_none=True))
    assert dumped["spec"] == stored["spec"]


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_stored_objects_are_read_and_written_unchanged(server, changes, tmp_path):
    stored = server.defaulted(a_manifest(changes))
    (document,) = read([written(tmp_path, stored)])
    assert json.loads(document.training.model_dump_json(exclude_unset=True)) == stored


BEFORE = {"status.training": {"epoch": "0"}}
BEGUN = {"status.training": {"startedAt": "2025-11-24T12:00:00Z"}}
FROZEN = {
    "spec.model": {"path": "models/other"},
    "spec.datasets.0.path": "other.jsonl",
    "spec.filter.mode": "audit",
    "spec.training.epochs": "1",
    "spec.alignment": [{"name": "calm", "dataset": {"path": "x"}}],
    "spec.compute.pool": "h100",
    "spec.compute.nodes": 2,
    "spec.compute.gpusPerNode": 8,
    "spec.probe.maxNewTokens": 16,
    "spec.reporting": {"tensorboard": {}},
}
OPEN = {
    "spec.suspend": True,
    "spec.runPolicy.backoffLimit": 9,
    "spec.publish": {"s3": {"bucket": "models", "credentialsSecretRef": {"name": "aws"}}},
    "spec.evaluation.benchmarks": ["mmlu"],
    "spec.compute.stages": {"evaluate": {"gpus": 2}},
    "spec.workspace.retain": False,
    "metadata.labels": {"a": "b"},
}


@pytest.mark.parametrize("path", FROZEN)
def test_what_decides_the_weights_is_frozen_once_training_began(server, path):
    change = {path: FROZEN[path]}
    was, becomes = a_manifest(BEGUN), a_manifest({**BEGUN, **change})
    (refusal,) = server.refusals(becomes, old=was)
    field = path.replace(".0.path", "") if "datasets" in path else ".".join(path.split(".")[:3])
    assert field.startswith(refusal.partition(":")[0].lstrip("."))
    assert ADVICE in refusal
    # Taking an optional field away again is a change too.
    assert server.refusals(was, old=becomes) != []


@pytest.mark.parametrize("path", FROZEN)
@pytest.mark.parametrize("status", [{}, BEFORE], ids=["no status", "not begun"])
def test_everything_can_be_corrected_before_training(server, path, status):
    change = {path: FROZEN[path]}
    assert server.refusals(a_manifest({**status, **change}), old=a_manifest(status)) == []


@pytest.mark.parametrize("path", OPEN)
def test_the_rest_can_be_changed_while_training(server, path):
    becomes = a_manifest({**BEGUN, path: OPEN[path]})
    assert server.refusals(becomes, old=a_manifest(BEGUN)) == []
    assert server.refusals(a_manifest(BEGUN), old=becomes) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.workspace.size": "3Ti"},
        {"spec.workspace.storageClassName": "fast"},
        {"spec.workspace.accessMode": "ReadWriteOnce"},
        {"spec.workspace.existingClaim": "mine"},
    ],
    ids=str,
)
def test_the_volume_is_frozen_from_the_start(server, changes):
    (refusal,) = server.refusals(a_manifest(changes), old=a_manifest())
    assert refusal.startswith(".spec.workspace: only retain can be changed")


def test_the_status_can_be_written_when_training_begins(server):
    assert server.refusals(a_manifest(BEGUN), old=a_manifest(BEFORE)) == []
