"""Steps may be repeated without harm, and a status is written as its difference."""

import asyncio
import copy
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uncensor_operator.api.status import Status
from uncensor_operator.cluster.client import ApiError
from uncensor_operator.cluster.execute import Executor, NotOursError, difference
from uncensor_operator.cluster.store import Key, Store
from uncensor_operator.plan.outcome import Create, Delete, Patch

KEY = Key("ns", "r")
SCALARS = st.integers() | st.text(max_size=3) | st.booleans() | st.lists(st.integers(), max_size=2)
# Machines that do other things too are no failure.
SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEYS = st.text("abc", min_size=1, max_size=2)
OBJECTS = st.recursive(
    st.dictionaries(KEYS, SCALARS, max_size=4),
    lambda inner: st.dictionaries(KEYS, SCALARS | inner, max_size=4),
    max_leaves=12,
)


def merged(old, patch):
    """RFC 7386, as the API server applies it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@SLOWLY
@given(OBJECTS, OBJECTS)
def test_the_difference_makes_the_new_object_of_the_old(old, new):
    before = copy.deepcopy(old)
    assert merged(old, difference(old, new)) == new
    assert old == before


@SLOWLY
@given(OBJECTS)
def test_equal_objects_have_no_difference(value):
    assert difference(value, copy.deepcopy(value)) == {}


def a_manifest(owner="run-uid", name="r-fetch-1"):
    metadata = {"name": name, "namespace": "ns", "labels": {"uncensor.dev/run": "r"}}
    if owner:
        metadata["ownerReferences"] = [{"uid": owner, "controller": True}]
    return {"kind": "Job", "metadata": metadata}


class Server:
    """Objects by name, as the API server keeps them."""

    def __init__(self, *existing):
        self.objects = {one["metadata"]["name"]: self.stored(one) for one in existing}
        self.calls = []
        self.refusal = None

    def stored(self, raw):
        raw = copy.deepcopy(raw)
        raw["metadata"].setdefault("uid", f"uid-{raw['metadata']['name']}")
        raw["metadata"].setdefault("resourceVersion", "1")
        return raw

    async def get(self, resource, namespace, name):
        return self.objects.get(name)

    async def create(self, resource, body):
        self.calls.append(("create", body["metadata"]["name"]))
        if body["metadata"]["name"] in self.objects:
            raise ApiError(409, "AlreadyExists", "exists")
        self.objects[body["metadata"]["name"]] = self.stored(body)
        return self.objects[body["metadata"]["name"]]

    async def patch(self, resource, namespace, name, body, part=None):
        self.calls.append(("patch", name, body, part))
        self.objects[name] = merged(self.objects[name], body)
        return self.objects[name]

    async def delete(self, resource, namespace, name, options):
        self.calls.append(("delete", name, options))
        if self.refusal:
            raise self.refusal


def carried_out(server, *steps, store=None):
    executor = Executor(server, store or Store())
    asyncio.run(executor.execute(KEY, "run-uid", steps))


def test_a_created_object_is_known_at_once():
    store = Store()
    carried_out(Server(), Create(a_manifest()), store=store)
    assert store.part(KEY, SimpleNamespace(kind="Job"), "r-fetch-1") is not None


def test_our_own_object_of_that_name_is_adopted():
    server = Server(a_manifest())
    carried_out(server, Create(a_manifest()))
    assert len(server.objects) == 1


@pytest.mark.parametrize("owner", ["an older run", None])
def test_an_object_of_somebody_else_is_left_alone(owner):
    server = Server(a_manifest(owner=owner))
    with pytest.raises(NotOursError, match="rename this run"):
        carried_out(server, Create(a_manifest()), Create(a_manifest(name="next")))
    assert "next" not in server.objects


def test_a_claim_that_outlived_its_run_is_taken_over():
    carried_out(Server(a_manifest(owner=None)), Create(a_manifest(owner=None)))


def test_a_deletion_names_the_object_that_it_means():
    server = Server()
    carried_out(server, Delete("Pod", "p", "uid-p", grace_seconds=0))
    ((_, name, options),) = server.calls
    assert name == "p"
    assert options["preconditions"] == {"uid": "uid-p"}
    assert options["gracePeriodSeconds"] == 0


def test_a_deletion_of_an_object_that_was_replaced_is_done():
    server = Server()
    server.refusal = ApiError(409, "Conflict", "the UID does not match")
    carried_out(server, Delete("Job", "j", "old"))


def test_a_deletion_that_is_refused_is_told():
    server = Server()
    server.refusal = ApiError(403, "Forbidden", "no")
    with pytest.raises(ApiError):
        carried_out(server, Delete("Job", "j", "old"))


def test_fields_are_changed_by_a_merge_patch():
    server = Server(a_manifest())
    carried_out(server, Patch("Job", "r-fetch-1", {"metadata": {"ownerReferences": []}}))
    assert server.objects["r-fetch-1"]["metadata"]["ownerReferences"] == []


def a_run(**status):
    metadata = {"name": "r", "namespace": "ns", "uid": "u", "resourceVersion": "7"}
    return {"metadata": metadata, "status": {"observedGeneration": 1} | status}


def written(raw, status):
    server = Server(raw)
    said = asyncio.run(Executor(server, Store()).write_status(raw, status))
    return said, server.calls


def test_an_unchanged_status_is_not_written():
    raw = a_run()
    raw["status"] = Status(observed_generation=1).model_dump(
        by_alias=True, mode="json", exclude_none=True
    )
    assert written(raw, Status(observed_generation=1)) == (False, [])


def test_a_status_is_written_against_the_version_that_it_was_decided_on():
    said, ((_, name, body, part),) = written(a_run(phase="train"), Status(observed_generation=2))
    assert said
    assert (name, part) == ("r", "status")
    assert body["metadata"] == {"resourceVersion": "7", "uid": "u"}
    assert body["status"]["observedGeneration"] == 2
    assert body["status"]["phase"] is None
