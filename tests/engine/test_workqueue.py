"""The work queue: one pass at a time for each run, the earliest first, the failing ones later."""

import asyncio

import pytest

from uncensor_operator.cluster.store import Key
from uncensor_operator.handlers.workqueue import JITTER, LONGEST_BACKOFF, WorkQueue

A, B = Key("ns", "a"), Key("ns", "b")


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(clock):
    return WorkQueue(clock)


def taken(queue):
    """The next run that is due now, or None."""

    async def one():
        try:
            return await asyncio.wait_for(queue.take(), 0.01)
        except TimeoutError:
            return None

    return asyncio.run(one())


def test_a_run_that_is_added_twice_is_taken_once(queue):
    queue.add(A)
    queue.add(A)
    assert [taken(queue), taken(queue)] == [A, None]


def test_the_earliest_comes_first(queue, clock):
    queue.add(A, 5)
    queue.add(B, 2)
    clock.now += 10
    assert [taken(queue), taken(queue)] == [B, A]


def test_a_run_that_nobody_has_seen_goes_ahead_of_others_that_are_due(queue, clock):
    queue.add(A, 2)
    clock.now += 10
    queue.add(B, ahead=True)
    assert queue.overdue == 2
    assert [taken(queue), taken(queue), taken(queue)] == [B, A, None]


def test_a_delay_holds_a_run_back_and_does_not_count_as_overdue(queue, clock):
    queue.add(A, 5)
    assert queue.overdue == 0
    clock.now += 5
    assert queue.overdue == 1


def test_nothing_comes_before_it_is_due(queue, clock):
    queue.add(A, 5)
    assert taken(queue) is None
    clock.now += 5
    assert taken(queue) == A


def test_sooner_wins_over_later(queue):
    queue.add(A, 60)
    queue.add(A, 0)
    queue.add(A, 90)
    assert taken(queue) == A


def test_a_sooner_time_does_not_leave_the_later_one_behind(queue, clock):
    queue.add(A, 60)
    queue.add(A, 0)
    assert taken(queue) == A
    queue.done(A)
    clock.now += 100
    assert taken(queue) is None


def test_a_run_is_worked_on_by_one_worker_at_a_time(queue):
    queue.add(A)
    assert taken(queue) == A
    queue.add(A)
    assert taken(queue) is None
    queue.done(A)
    assert taken(queue) == A


def test_the_next_look_comes_when_the_pass_asked_for_it(queue, clock):
    queue.add(A)
    taken(queue)
    queue.done(A, 30)
    clock.now += 29
    assert taken(queue) is None
    clock.now += 1
    assert taken(queue) == A


def failures(queue, count):
    delays = []
    for _ in range(count):
        queue.add(A)
        taken(queue)
        delays.append(queue.failed(A))
        queue._due.clear()
    return delays


def test_waits_after_failures_grow_and_are_capped(queue):
    delays = failures(queue, 40)
    assert delays[0] < delays[3] < delays[6]
    assert max(delays) <= LONGEST_BACKOFF * (1 + JITTER)
    assert min(delays[20:]) >= LONGEST_BACKOFF * (1 - JITTER)


def test_what_comes_during_a_failing_pass_waits_too(queue, clock):
    queue.add(A)
    taken(queue)
    queue.add(A)
    delay = queue.failed(A, at_least=10)
    assert taken(queue) is None
    clock.now += delay
    assert taken(queue) == A


def test_a_pass_that_went_well_forgets_failures(queue):
    failures(queue, 10)
    queue.add(A)
    taken(queue)
    queue.done(A)
    assert failures(queue, 1)[0] < 1


def test_a_run_that_is_gone_is_forgotten(queue, clock):
    queue.add(A)
    taken(queue)
    queue.forget(A)
    clock.now += 1000
    assert taken(queue) is None


def test_a_waiting_worker_wakes_up_for_a_new_run(queue):
    async def both():
        waiting = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        queue.add(A)
        return await asyncio.wait_for(waiting, 5)

    assert asyncio.run(both()) == A


def test_many_workers_share_the_runs(queue):
    keys = [Key("ns", str(n)) for n in range(20)]

    async def all_of_them():
        workers = [asyncio.create_task(queue.take()) for _ in keys]
        await asyncio.sleep(0)
        for key in keys:
            queue.add(key)
        return await asyncio.wait_for(asyncio.gather(*workers), 5)

    assert sorted(asyncio.run(all_of_them())) == sorted(keys)
