"""What a run needs beside its children is created at once; a child only when all of it is there."""

import asyncio
import copy

import pytest

from uncensor_operator.cluster.client import ApiError
from uncensor_operator.cluster.execute import Executor
from uncensor_operator.cluster.store import Key, Store
from uncensor_operator.plan.outcome import Create

KEY = Key("ns", "r")
BELONGINGS = (("PersistentVolumeClaim", "r-workspace"), ("ConfigMap", "r-file"))
POLICY, CHILD = ("NetworkPolicy", "r"), ("Job", "r-fetch-1")


class SlowServer:
    """Answers a request only when `wanted` requests wait: fewer would hang, and fail the test."""

    def __init__(self, wanted, refuses=""):
        self.wanted, self.refuses = wanted, refuses
        self.waiting, self.created = asyncio.Barrier(wanted), []

    async def create(self, resource, body):
        name = body["metadata"]["name"]
        if resource.kind != "Job":
            await asyncio.wait_for(self.waiting.wait(), 60)
        if name == self.refuses:
            raise ApiError(403, "Forbidden", "quota")
        self.created.append(name)
        return copy.deepcopy(body) | {"metadata": body["metadata"] | {"resourceVersion": "1"}}


def creations(*wanted):
    metadata = {"namespace": "ns", "labels": {"uncensor.dev/run": "r"}}
    return [Create({"kind": kind, "metadata": {**metadata, "name": name}}) for kind, name in wanted]


async def carried_out(wanted, refuses=""):
    server = SlowServer(len(wanted) - 1, refuses)
    steps = creations(*wanted)
    return server, Executor(server, Store()).execute(KEY, "run-uid", steps)


def test_belongings_are_created_at_once_and_the_child_last():
    async def story():
        server, work = await carried_out((*BELONGINGS, POLICY, CHILD))
        await work
        return server.created

    created = asyncio.run(story())
    assert sorted(created[:3]) == ["r", "r-file", "r-workspace"]
    assert created[3] == "r-fetch-1"


def test_when_one_is_refused_the_others_are_there_and_the_child_is_not():
    async def story():
        server, work = await carried_out((*BELONGINGS, POLICY, CHILD), refuses="r-file")
        with pytest.raises(ApiError, match="quota"):
            await work
        return server.created

    assert sorted(asyncio.run(story())) == ["r", "r-workspace"]
