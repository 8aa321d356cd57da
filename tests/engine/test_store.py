"""What the watches have shown: newest versions only, and nothing that is gone."""

import pytest

from uncensor_operator.cluster.resources import CONFIG_MAPS, JOBS, PODS, RUNS
from uncensor_operator.cluster.store import Key, Store, key_of

KEY = Key("ns", "r")


def an_object(version=1, uid="u", name="r", **fields):
    labels = {"uncensor.dev/run": "r"}
    metadata = {"namespace": "ns", "name": name, "uid": uid, "labels": labels}
    return {"metadata": metadata | {"resourceVersion": str(version)}} | fields


def test_a_run_is_found_by_namespace_and_name():
    store = Store()
    assert store.put(RUNS, an_object()) == KEY
    assert store.run(KEY)["kind"] == "UncensorTraining"
    assert store.known() == (KEY,)


def test_a_part_is_found_by_the_label_of_its_run():
    store = Store()
    assert store.put(JOBS, an_object(name="r-fetch-1")) == KEY
    assert [one["metadata"]["name"] for one in store.parts(KEY, JOBS)] == ["r-fetch-1"]
    assert list(store.parts(KEY, PODS)) == []
    assert store.known() == ()


def test_an_object_without_the_label_belongs_to_nobody():
    raw = an_object()
    raw["metadata"]["labels"] = {}
    assert key_of(JOBS, raw) is None
    assert Store().put(JOBS, raw) is None


@pytest.mark.parametrize("resource", [RUNS, JOBS], ids=lambda one: one.kind)
def test_an_older_version_never_replaces_a_newer_one(resource):
    store = Store()
    store.put(resource, an_object(10, state="new"))
    assert store.put(resource, an_object(9, state="old")) is None
    assert store.part(KEY, resource, "r")["state"] == "new"
    assert store.put(resource, an_object(11, state="newer")) == KEY
    assert store.part(KEY, resource, "r")["state"] == "newer"


@pytest.mark.parametrize("resource", [RUNS, JOBS], ids=lambda one: one.kind)
def test_the_echo_of_a_version_that_is_known_is_no_news(resource):
    store = Store()
    assert store.put(resource, an_object(10)) == KEY
    assert store.put(resource, an_object(10)) is None


def test_versions_that_are_no_numbers_are_always_news():
    store = Store()
    assert [store.put(JOBS, an_object("abc")) for _ in range(2)] == [KEY, KEY]


def test_a_run_is_new_until_a_pass_has_written_its_status():
    store = Store()
    store.put(RUNS, an_object(1, status={"observedGeneration": -1}))
    assert store.is_new(KEY)
    store.put(RUNS, an_object(2, status={"startedAt": "2026-01-01T00:00:00Z"}))
    assert not store.is_new(KEY)


def test_a_late_event_of_a_predecessor_does_not_replace_its_successor():
    store = Store()
    store.put(RUNS, an_object(20, uid="second"))
    assert store.put(RUNS, an_object(12, uid="first")) is None
    assert store.run(KEY)["metadata"]["uid"] == "second"


def test_a_successor_replaces_its_predecessor():
    store = Store()
    store.put(RUNS, an_object(12, uid="first"))
    assert store.put(RUNS, an_object(20, uid="second")) == KEY
    assert store.run(KEY)["metadata"]["uid"] == "second"


def test_the_deletion_of_a_predecessor_leaves_its_successor():
    store = Store()
    store.put(RUNS, an_object(20, uid="second"))
    store.remove(RUNS, an_object(19, uid="first"))
    assert store.run(KEY) is not None


@pytest.mark.parametrize("resource", [RUNS, JOBS], ids=lambda one: one.kind)
def test_what_was_deleted_does_not_come_back_by_a_late_answer(resource):
    store = Store()
    store.put(resource, an_object(5))
    assert store.remove(resource, an_object(7)) == KEY
    assert store.put(resource, an_object(6)) is None
    assert store.part(KEY, resource, "r") is None
    assert store.run(KEY) is None


def test_contents_of_our_own_config_maps_are_not_kept():
    store = Store()
    store.put(CONFIG_MAPS, an_object(data={"run.json": "x" * 1000}))
    assert "data" not in store.part(KEY, CONFIG_MAPS, "r")


def test_bookkeeping_of_the_server_is_not_kept():
    store = Store()
    raw = an_object()
    raw["metadata"]["managedFields"] = [{}]
    store.put(JOBS, raw)
    assert "managedFields" not in store.part(KEY, JOBS, "r")["metadata"]


def a_pod(uid="p", owner="job", code=1):
    raw = an_object(uid=uid, name=f"pod-{uid}")
    raw["metadata"]["ownerReferences"] = [{"uid": owner, "controller": True}]
    state = {"terminated": {"exitCode": code}} if code is not None else {"running": {}}
    raw["status"] = {"phase": "Running", "containerStatuses": [{"name": "pytorch", "state": state}]}
    return raw


@pytest.mark.parametrize(("code", "phase"), [(1, "Failed"), (0, "Succeeded")])
def test_a_pod_that_is_gone_keeps_its_last_words_for_its_child(code, phase):
    store = Store()
    store.put(PODS, a_pod(code=None))
    store.remove(PODS, a_pod(code=code))
    assert [one["status"]["phase"] for one in store.departed(KEY, {"job"})] == [phase]


def test_last_words_are_forgotten_with_the_child():
    store = Store()
    store.remove(PODS, a_pod())
    assert list(store.departed(KEY, {"another"})) == []
    assert list(store.departed(KEY, {"job"})) == []


def test_a_pod_that_never_ended_leaves_no_last_words():
    store = Store()
    store.remove(PODS, a_pod(code=None))
    assert list(store.departed(KEY, {"job"})) == []
