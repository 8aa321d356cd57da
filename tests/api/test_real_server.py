"""A real API server judges the tables of manifests as `uncensor validate` does."""

import copy
import json
from typing import Any

import pytest

from cluster.api import ApiError
from support.bad_manifests import BAD
from support.manifests import GOOD, a_manifest, written
from support.runs_on_cluster import CRD, MERGE
from uncensor_operator.api import crdgen
from uncensor_operator.api.reading import read

pytestmark = pytest.mark.cluster

ADVICE = "cannot change once training has begun: create a new run"
BEGUN = {"training": {"startedAt": "2025-11-24T12:00:00Z"}}


class Server:
    """The real one, asked without keeping anything."""

    def __init__(self, runs):
        self.runs = runs

    def creates(self, manifest: dict[str, Any], *, dry: bool = True) -> dict[str, Any]:
        """Create as kubectl does: strict about fields, and only for a try."""
        body = copy.deepcopy(manifest)
        if isinstance(body.get("metadata"), dict):
            # A new object cannot bring what the server alone writes.
            for field in ("uid", "resourceVersion", "generation", "creationTimestamp"):
                body["metadata"].pop(field, None)
        query = "fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        return self.runs.namespace.api.create(f"{self.runs.path}?{query}", body)

    def refuses(self, manifest: dict[str, Any]) -> str:
        """Return why it is refused; empty when it is not."""
        try:
            self.creates(manifest)
        except ApiError as error:
            return judged(error)
        return ""

    def changes(self, change: dict[str, Any]) -> str:
        """Return why a change of `my-run` is refused; empty when it is made."""
        path = f"{self.runs.path}/my-run?fieldValidation=Strict"
        try:
            self.runs.namespace.api.request("PATCH", path, change, kind=MERGE)
        except ApiError as error:
            return judged(error)
        return ""


@pytest.fixture
def server(runs):
    return Server(runs)


def judged(error: ApiError) -> str:
    """Return what the server says about an object; any other refusal is none of ours."""
    if error.code not in (400, 422):
        raise error
    return str(error)


def problems(tmp_path, manifest) -> tuple[object, ...]:
    (document,) = read([written(tmp_path, manifest)])
    return document.problems


def test_good_manifests_are_accepted_by_both(server, tmp_path):
    verdicts = {
        name: (server.refuses(a_manifest(changes)), problems(tmp_path, a_manifest(changes)))
        for name, changes in GOOD.items()
    }
    assert verdicts == {name: ("", ()) for name in GOOD}


# Wrong in the status, which the server leaves out when an object is created.
OF_THE_STATUS = {"a condition twice", "an unknown state"}


def test_bad_manifests_are_refused_by_both(server, tmp_path):
    accepted = {one.id for one in BAD if not server.refuses(a_manifest(one.changes))}
    assert accepted == OF_THE_STATUS
    assert [one.id for one in BAD if not problems(tmp_path, a_manifest(one.changes))] == []


@pytest.mark.parametrize(
    "bad", [one for one in BAD if one.id in OF_THE_STATUS], ids=lambda one: one.id
)
def test_a_bad_status_is_refused_where_the_operator_writes_it(server, runs, bad):
    server.creates(a_manifest(), dry=False)
    with pytest.raises(ApiError) as caught:
        runs.write_status("my-run", a_manifest(bad.changes)["status"])
    assert caught.value.code == 422


def test_defaults_are_those_of_the_types(server, tmp_path):
    for changes in GOOD.values():
        stored = server.creates(a_manifest(changes))
        (document,) = read([written(tmp_path, a_manifest(changes))])
        assert (
            json.loads(document.training.model_dump_json(exclude_none=True))["spec"]
            == (stored["spec"])
        )


def test_a_new_run_waits_for_the_operator(server):
    stored = server.creates(a_manifest(), dry=False)
    assert stored["status"]["observedGeneration"] == -1
    assert "conditions" not in stored["status"]


def test_the_crd_is_stored_as_it_was_generated(runs):
    stored = runs.namespace.api.get(CRD)
    (version,) = stored["spec"]["versions"]
    assert version["schema"]["openAPIV3Schema"] == crdgen.root_schema()
    assert {one["type"]: one["status"] for one in stored["status"]["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }


def test_the_crd_is_small_enough_for_every_client():
    # kubectl apply keeps a copy in an annotation, which the server limits to 262,144 bytes.
    assert len(crdgen.generated()[crdgen.CRD].encode()) < 200_000


def test_kubectl_shows_our_columns(runs):
    runs.recorded("running", columns={"progress": "train 120/800", "refusals": "52 % -> ?"})
    head, row = runs.namespace.kubectl("get", "ut").splitlines()
    assert head.split() == ["NAME", "STAGE", "READY", "PROGRESS", "LOSS", "REFUSALS", "AGE"]
    assert row.split()[:3] == ["my-run", "train", "False"]
    assert "train 120/800" in row
    assert "1.2345" in row
    wide = runs.namespace.kubectl("get", "ut", "-o", "wide").splitlines()[0].split()
    assert wide[7:] == ["MODEL", "POOL", "NODES", "CHECKPOINT", "MESSAGE"]


def test_kubectl_can_wait_for_the_end(runs):
    runs.recorded("succeeded")
    said = runs.namespace.kubectl("wait", "--for=condition=Succeeded", "ut/my-run", "--timeout=30s")
    assert "condition met" in said


FROZEN = {
    "model": {"path": "models/other"},
    "datasets": [{"name": "rows", "path": "other.jsonl"}],
    "filter": {"mode": "audit"},
    "training": {"epochs": "1"},
    "alignment": [{"name": "calm", "dataset": {"path": "x"}}],
    "compute": {"pool": "h100"},
    "probe": {"maxNewTokens": 16},
    "reporting": {"tensorboard": {}},
}


def test_everything_can_be_corrected_until_training_begins(server, runs):
    server.creates(a_manifest(), dry=False)
    for field, value in FROZEN.items():
        assert server.changes({"spec": {field: value}}) == ""


def test_what_decides_the_weights_is_frozen_from_then_on(server, runs):
    server.creates(a_manifest(), dry=False)
    runs.write_status("my-run", BEGUN)
    for field, value in FROZEN.items():
        refusal = server.changes({"spec": {field: value}})
        assert f"spec.{field}" in refusal
        assert ADVICE in refusal


@pytest.mark.parametrize(
    "change",
    [
        {"suspend": True},
        {"runPolicy": {"backoffLimit": 9}},
        {"evaluation": {"benchmarks": ["mmlu"]}},
        {"compute": {"stages": {"evaluate": {"gpus": 2}}}},
        {"workspace": {"retain": False}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_rest_can_be_changed_while_training(server, runs, change):
    server.creates(a_manifest(), dry=False)
    runs.write_status("my-run", BEGUN)
    assert server.changes({"spec": change}) == ""


def test_the_volume_is_frozen_from_the_start(server):
    server.creates(a_manifest(), dry=False)
    assert "only retain can be changed" in server.changes({"spec": {"workspace": {"size": "3Ti"}}})
