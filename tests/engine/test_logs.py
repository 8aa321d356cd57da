"""Progress as the log tells it; broken lines tell nothing and do no harm."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uncensor_operator.api.status import Progress
from uncensor_operator.cluster.client import ApiError
from uncensor_operator.cluster.logs import LogBook, understood
from uncensor_operator.plan.following import progress_of
from uncensor_operator.plan.world import LiveProgress

NOTHING = LiveProgress("u")
STAMP = "2026-01-01T12:00:00.123456789Z"


def line(stamp=STAMP, **event):
    return f"{stamp} {json.dumps(event)}"


def test_steps_are_read_with_what_belongs_to_them():
    text = line(event="progress", step=5, total=10, loss=1.5, tokens_per_second=9, eta_seconds=3)
    found = understood(NOTHING, text)
    assert (found.step, found.total, found.loss, found.tokens_per_second) == (5, 10, 1.5, 9.0)
    assert found.seen_at == datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_the_last_line_counts():
    text = "\n".join(line(event="progress", step=step, total=10) for step in (3, 4, 5))
    assert understood(NOTHING, text).step == 5


def test_the_same_step_again_is_no_sign_of_life():
    first = understood(NOTHING, line(event="progress", step=5, total=10))
    again = line("2026-01-01T13:00:00Z", event="progress", step=5, total=10)
    assert understood(first, again) == first


def test_checkpoints_are_remembered_and_never_go_back():
    found = understood(NOTHING, line(event="checkpoint", step=40))
    found = understood(found, line(event="checkpoint", step=20))
    assert found.checkpoint == 40
    assert found.checkpoint_at is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no stamp",
        f"{STAMP} plain text",
        f"{STAMP} {{broken",
        f"{STAMP} [1, 2]",
        f'{STAMP} {{"event": "other", "step": 3}}',
        f'{STAMP} {{"event": "progress", "step": "3"}}',
        f'{STAMP} {{"event": "progress", "step": true}}',
        f'{STAMP} {{"event": "progress", "step": -3}}',
        f'{STAMP} {{"event": "checkpoint", "step": 1.5}}',
        f'{STAMP} {{"event": "checkpoint", "step": {2**63}}}',
    ],
)
def test_broken_and_foreign_lines_count_as_nothing(text):
    assert understood(NOTHING, text) == NOTHING


def test_a_line_without_a_readable_time_still_counts():
    assert understood(NOTHING, line("garbage", event="progress", step=1)).step == 1


def test_numbers_that_are_none_are_left_out():
    text = f'{STAMP} {{"event": "progress", "step": 1, "loss": NaN, "eta_seconds": Infinity}}'
    found = understood(NOTHING, text)
    assert (found.step, found.loss, found.eta_seconds) == (1, None, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["progress", "checkpoint"]), "step": JSON},
    optional={key: JSON for key in ("total", "loss", "eta_seconds", "checkpoint_step", "mfu")},
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EVENTS, max_size=4), st.text(max_size=20))
def test_no_log_breaks_the_status(events, noise):
    text = "\n".join([noise, *(line(**event) for event in events)])
    progress = progress_of(understood(NOTHING, text))
    assert progress is None or Progress.model_validate(progress.model_dump())


def test_a_long_phase_without_steps_counts_as_life():
    line = '{"event": "heartbeat", "stage": "train", "phase": "exporting", "step": 9}'
    after = understood(LiveProgress("p", step=9), f"2026-01-01T12:00:30.5Z {line}")

    assert after.seen_at is not None
    assert after.seen_at.second == 30


def test_a_beating_heart_alone_is_no_step_in_training():
    line = '{"event": "heartbeat", "stage": "train", "phase": "training", "idle_seconds": 99}'
    before = LiveProgress("p", step=9)

    assert understood(before, f"2026-01-01T12:00:30.5Z {line}") == before


class OneLog:
    """A client of which the log can be read, or not."""

    def __init__(self):
        self.text = None
        self.reads = 0

    async def log(self, *_, **__):
        self.reads += 1
        if self.text is None:
            raise ApiError(500, "InternalError", "The node does not answer.")
        return self.text


def test_a_log_that_cannot_be_read_is_asked_for_less_and_less_often():
    client, now = OneLog(), [0.0]
    book = LogBook(client, lambda: now[0])
    asked = []
    for second in range(200):
        now[0] = float(second)
        before = client.reads
        asyncio.run(book.read("ns", "p", "u"))
        asked += [second] * (client.reads - before)
    assert asked == [0, 5, 15, 35, 75, 135, 195]


def test_the_last_words_are_read_in_a_pause_too_and_end_it():
    client = OneLog()
    book = LogBook(client, lambda: 0.0)
    assert not asyncio.run(book.read("ns", "p", "u"))
    client.text = line(event="progress", step=5, total=10)
    assert not asyncio.run(book.read("ns", "p", "u"))
    assert asyncio.run(book.read("ns", "p", "u", now=True))
    assert book.of("u").step == 5
    client.text = line(event="progress", step=6, total=10)
    assert asyncio.run(book.read("ns", "p", "u"))


def test_pods_that_are_gone_are_forgotten():
    client = OneLog()
    book = LogBook(client, lambda: 0.0)
    asyncio.run(book.read("ns", "p", "u"))
    book.forget({"other"})
    client.text = line(event="progress", step=5, total=10)
    assert asyncio.run(book.read("ns", "p", "u"))
    book.forget(set())
    assert book.of("u") is None
