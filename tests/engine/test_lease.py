"""One replica works at a time, by clocks that nobody sets."""

import asyncio
import copy
import time

import pytest

from uncensor_operator.cluster.client import ApiError
from uncensor_operator.cluster.lease import Lease, LeaseLostError
from uncensor_operator.settings import Election

SETTINGS = Election(lease_seconds=15, renew_seconds=10, retry_seconds=0.001)


class Server:
    """One Lease with the API's optimistic concurrency; it may be out of reach."""

    def __init__(self):
        self.lease = None
        self.version = 0
        self.fault = None

    def _reach(self):
        if self.fault is not None:
            raise self.fault

    async def get(self, resource, namespace, name):
        self._reach()
        return copy.deepcopy(self.lease)

    async def create(self, resource, body):
        self._reach()
        if self.lease is not None:
            raise ApiError(409, "AlreadyExists", "exists")
        return self._store(copy.deepcopy(body))

    async def patch(self, resource, namespace, name, body):
        self._reach()
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        return self._store({**self.lease, "spec": {**self.lease["spec"], **body["spec"]}})

    def _store(self, body):
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.lease = body
        return copy.deepcopy(body)

    @property
    def holder(self):
        return self.lease["spec"]["holderIdentity"]


class Clock:
    def __init__(self, now=0.0, step=0.0):
        self.now, self.step = now, step

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.fixture
def server():
    return Server()


def a_lease(server, identity, clock=None, settings=SETTINGS):
    return Lease(server, "ns", identity, settings, clock or Clock())


def gets(lease):
    """Whether a candidate gets the lease within a few tries."""

    async def some():
        try:
            await asyncio.wait_for(lease.acquire(), 0.02)
        except TimeoutError:
            return False
        return True

    return asyncio.run(some())


def test_the_first_candidate_gets_the_lease(server):
    assert gets(a_lease(server, "a"))
    assert server.holder == "a"


def test_the_second_one_waits_while_it_is_renewed(server):
    clock = Clock()
    first, second = a_lease(server, "a"), a_lease(server, "b", clock)
    assert gets(first)
    for _ in range(5):
        assert not gets(second)
        clock.now += 14
        assert gets(first)  # a renewal
    assert server.holder == "a"


def test_a_lease_that_is_not_renewed_is_taken_over_by_ones_own_clock(server):
    clock = Clock(now=1_000_000.0)
    assert gets(a_lease(server, "a"))
    second = a_lease(server, "b", clock)
    assert not gets(second)
    clock.now += 15.5
    assert gets(second)
    assert server.lease["spec"]["leaseTransitions"] == 1


def test_a_lease_that_was_given_up_is_free_at_once(server):
    first = a_lease(server, "a")
    assert gets(first)
    asyncio.run(first.release())
    assert gets(a_lease(server, "b"))


def test_nobody_gives_up_what_is_anothers(server):
    assert gets(a_lease(server, "a"))
    asyncio.run(a_lease(server, "b").release())
    assert server.holder == "a"


def test_of_two_candidates_at_once_one_gets_it(server):
    async def both():
        await server.create(None, a_lease(server, "x")._fresh())
        server.lease["spec"]["holderIdentity"] = ""
        leases = [a_lease(server, name) for name in "ab"]
        tasks = [asyncio.create_task(one.acquire()) for one in leases]
        done, waiting = await asyncio.wait(tasks, timeout=0.02)
        for task in waiting:
            task.cancel()
        return len(done)

    assert asyncio.run(both()) == 1


def test_the_loss_of_the_lease_ends_the_leader(server):
    first = a_lease(server, "a")
    assert gets(first)
    server.lease["spec"]["holderIdentity"] = "b"
    with pytest.raises(LeaseLostError, match="Another replica"):
        asyncio.run(first.keep())


def test_a_server_out_of_reach_ends_the_leader_before_others_may_take_over(server):
    clock = Clock(step=0.5)
    first = a_lease(server, "a", clock)
    assert gets(first)
    server.fault = ApiError(0, "NoAnswer", "no answer")
    began = clock.now
    with pytest.raises(LeaseLostError, match="in time"):
        asyncio.run(first.keep())
    assert SETTINGS.renew_seconds <= clock.now - began < SETTINGS.lease_seconds


def test_a_request_that_is_lost_on_its_way_leaves_time_for_another(server):
    settings = Election(lease_seconds=3, renew_seconds=2, retry_seconds=0.001)
    first = a_lease(server, "a", time.monotonic, settings)
    assert gets(first)
    before, lost = server.version, []
    reach = server.get

    async def once_lost(*where):
        server.get = reach
        lost.append(where)
        await asyncio.Event().wait()

    server.get = once_lost

    async def story():
        keeping = asyncio.create_task(first.keep())
        while server.version == before:
            await asyncio.sleep(0.001)
            assert not keeping.done()
        keeping.cancel()

    asyncio.run(asyncio.wait_for(story(), 10))
    assert lost


def test_a_short_fault_does_not_end_the_leader(server):
    first = a_lease(server, "a")
    assert gets(first)
    before = server.version

    async def story():
        keeping = asyncio.create_task(first.keep())
        server.fault = ApiError(503, "Unavailable", "busy")
        await asyncio.sleep(0.005)
        server.fault = None
        while server.version == before:  # noqa: ASYNC110 - the server is no task
            await asyncio.sleep(0.001)
        assert not keeping.done()
        keeping.cancel()

    asyncio.run(asyncio.wait_for(story(), 5))


def test_a_remark_that_somebody_writes_on_the_lease_does_not_end_the_leader(server):
    first = a_lease(server, "a")
    assert gets(first)
    before = server.version
    conflicts = [ApiError(409, "Conflict", "modified")] * 2
    patch = server.patch

    async def interfered(*arguments):
        if conflicts:
            raise conflicts.pop()
        return await patch(*arguments)

    server.patch = interfered

    async def story():
        keeping = asyncio.create_task(first.keep())
        while server.version == before:
            assert not keeping.done() or keeping.result()
            await asyncio.sleep(0.001)
        keeping.cancel()

    asyncio.run(asyncio.wait_for(story(), 5))


def test_giving_up_without_a_server_is_no_error(server):
    first = a_lease(server, "a")
    assert gets(first)
    server.fault = ApiError(0, "NoAnswer", "no answer")
    asyncio.run(first.release())
