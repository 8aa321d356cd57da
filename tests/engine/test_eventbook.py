"""Warnings about objects: one list for all runs of a namespace, and not too often."""

import asyncio

import pytest

from uncensor_operator.cluster.client import ApiError
from uncensor_operator.cluster.eventbook import EventBook


class Events:
    """A client that counts how often it was asked."""

    def __init__(self, *raws):
        self.raws = raws
        self.asked = []

    async def list(self, _resource, namespace, **selection):
        self.asked.append((namespace, selection))
        await asyncio.sleep(0)
        if isinstance(self.raws, ApiError):
            raise self.raws
        return list(self.raws)


def an_event(about="Pod/p", reason="FailedScheduling", last="2026-01-01T12:00:00Z", **fields):
    kind, _, name = about.partition("/")
    return {
        "metadata": {"creationTimestamp": "2026-01-01T11:00:00Z"},
        "involvedObject": {"kind": kind, "name": name},
        "reason": reason,
        "message": "No node.",
        "lastTimestamp": last,
    } | fields


def test_warnings_are_told_apart_by_what_they_are_about():
    book = EventBook(Events(an_event("Pod/a", "First"), an_event("Job/a", "Second")))
    found = asyncio.run(book.about("ns", "Job/a"))
    assert [(one.about, one.reason, one.message) for one in found] == [
        ("Job/a", "Second", "No node.")
    ]
    assert asyncio.run(book.about("ns", "Pod/other")) == ()


def test_the_newest_comes_last_whatever_order_they_are_listed_in():
    times = ("2026-01-01T12:00:02Z", None, "2026-01-01T12:00:01Z")
    book = EventBook(Events(*(an_event(last=last, reason=str(last)) for last in times)))
    found = asyncio.run(book.about("ns", "Pod/p"))
    assert [one.reason for one in found] == ["None", times[2], times[0]]


def test_a_thousand_pods_that_wait_cost_one_request():
    client = Events(an_event())

    async def all_at_once():
        book = EventBook(client)
        await asyncio.gather(*(book.about("ns", f"Pod/{n}") for n in range(1000)))

    asyncio.run(all_at_once())
    assert client.asked == [("ns", {"fieldSelector": "type=Warning"})]


@pytest.mark.parametrize(("events", "fresh"), [(1, 2), (1000, 12)])
def test_a_list_is_used_for_seconds_and_a_long_one_for_longer(events, fresh):
    now = [0.0]
    client = Events(*(an_event(f"Pod/{n}") for n in range(events)))
    book = EventBook(client, lambda: now[0])
    for moment in (0.0, fresh - 0.1, fresh + 0.1):
        now[0] = moment
        asyncio.run(book.about("ns", "Pod/0"))
    assert len(client.asked) == 2


def test_namespaces_are_asked_for_apart():
    client = Events(an_event())
    book = EventBook(client)
    for namespace in ("a", "b", "a"):
        asyncio.run(book.about(namespace, "Pod/p"))
    assert [namespace for namespace, _ in client.asked] == ["a", "b"]


def test_a_namespace_that_nobody_asks_about_is_forgotten():
    now = [0.0]
    book = EventBook(Events(an_event()), lambda: now[0])
    for moment, namespace in ((0, "gone"), (50, "a"), (70, "b")):
        now[0] = moment
        asyncio.run(book.about(namespace, "Pod/p"))
    assert len(book) == 2


def test_where_events_may_not_be_read_there_are_none():
    client = Events()
    client.raws = ApiError(403, "Forbidden", "no")
    assert asyncio.run(EventBook(client).about("ns", "Pod/p")) == ()
    client.raws = ApiError(0, "NoAnswer", "nothing")
    with pytest.raises(ApiError):
        asyncio.run(EventBook(client).about("ns", "Pod/p"))
