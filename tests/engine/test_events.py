"""Events are counted, not repeated, never too many, and never in the way."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from uncensor_operator.cluster.client import ApiError
from uncensor_operator.cluster.events import BURST, NOTE_BYTES, Recorder
from uncensor_operator.names import Reason
from uncensor_operator.plan.outcome import Event

RUN = {"metadata": {"name": "r", "namespace": "ns", "uid": "u", "resourceVersion": "3"}}


class Server:
    def __init__(self):
        self.created, self.counted, self.fault = [], [], None

    async def create(self, resource, body):
        if self.fault:
            raise self.fault
        self.created.append(body)

    async def patch(self, resource, namespace, name, body):
        if self.fault:
            raise self.fault
        if name not in {one["metadata"]["name"] for one in self.created}:
            raise ApiError(404, "NotFound", "gone")
        self.counted.append(body["series"]["count"])


class Clock:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        self.now += timedelta(microseconds=1)
        return self.now


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tell(server, clock):
    recorder = Recorder(server, "pod-1", clock)

    def told(message="It failed.", reason=Reason.ATTEMPT_FAILED, about=RUN):
        asyncio.run(recorder.record(about, Event("Warning", reason, message)))

    return told


def test_an_event_says_what_it_is_about(server, tell):
    tell()
    (event,) = server.created
    assert event["regarding"]["uid"] == "u"
    assert (event["type"], event["reason"]) == ("Warning", "AttemptFailed")
    assert event["note"] == "It failed."
    assert event["metadata"]["namespace"] == "ns"


def test_the_same_event_again_is_counted(server, tell):
    for _ in range(4):
        tell()
    assert len(server.created) == 1
    assert server.counted == [2, 3, 4]


def test_another_message_is_another_event(server, tell):
    tell("one")
    tell("two")
    assert len({one["metadata"]["name"] for one in server.created}) == 2


def test_the_same_event_much_later_is_a_new_one(server, tell, clock):
    tell()
    clock.now += timedelta(hours=2)
    tell()
    assert len(server.created) == 2


def test_an_event_that_the_server_has_forgotten_is_told_anew(server, tell):
    tell()
    server.created.clear()
    tell()
    assert len(server.created) == 1


def test_a_run_that_fails_in_a_loop_does_not_flood(server, tell, clock):
    for number in range(100):
        tell(str(number))
    assert len(server.created) == BURST
    tell(about={"metadata": {**RUN["metadata"], "uid": "another"}})
    assert len(server.created) == BURST + 1
    clock.now += timedelta(minutes=1)
    tell("later")
    assert server.created[-1]["note"] == "later"


@pytest.mark.parametrize("code", [0, 403, 409, 500])
def test_events_that_cannot_be_written_disturb_nobody(server, tell, code):
    server.fault = ApiError(code, "Refused", "no")
    tell()
    server.fault = None
    tell()
    assert len(server.created) == 1


def test_long_notes_are_cut_between_characters(server, tell):
    tell("ä" * 3000)
    note = server.created[0]["note"]
    assert len(note.encode()) <= NOTE_BYTES
    assert set(note) == {"ä"}


def test_noted_events_are_written_in_order_when_there_is_time(server, clock):
    recorder = Recorder(server, "pod-1", clock)
    urgent = asyncio.Event()

    async def noted_while_busy():
        writing = asyncio.create_task(recorder.write(urgent.wait))
        for text in ("one", "two"):
            recorder.note(RUN, Event("Normal", Reason.RUNNING, text))
        await asyncio.sleep(0.01)
        before = len(server.created)
        urgent.set()
        await asyncio.sleep(0.01)
        recorder.note(RUN, Event("Normal", Reason.RUNNING, "three"))
        await asyncio.sleep(0.01)
        writing.cancel()
        return before

    assert asyncio.run(noted_while_busy()) == 0
    assert [one["note"] for one in server.created] == ["one", "two", "three"]


def test_an_event_keeps_the_time_at_which_it_was_noted(server, clock):
    recorder = Recorder(server, "pod-1", clock)
    noted_at = clock.now.strftime("%Y-%m-%dT%H:%M:%S")
    recorder.note(RUN, Event("Normal", Reason.RUNNING, "It runs."))
    clock.now += timedelta(seconds=50)

    async def written():
        writing = asyncio.create_task(recorder.write(lambda: asyncio.sleep(0)))
        await asyncio.sleep(0.01)
        writing.cancel()

    asyncio.run(written())
    assert server.created[0]["eventTime"].startswith(noted_at)
