"""The server of /metrics, /healthz and /readyz, asked over HTTP."""

import asyncio
import socket

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from uncensor_operator.telemetry import Pulse, serve


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def asked(pulse, *paths):
    """The answers of a real server to requests, as (code, type, text)."""

    async def ask():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        runner = await serve(pulse, port)
        try:
            async with aiohttp.ClientSession() as session:
                return [await one(session, port, path) for path in paths]
        finally:
            await runner.cleanup()

    async def one(session, port, path):
        async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, answer.content_type, await answer.text()

    return asyncio.run(ask())


def test_metrics_can_be_read_by_prometheus():
    [(code, kind, text)] = asked(Pulse(), "/metrics")
    assert (code, kind) == (200, "text/plain")
    names = {family.name for family in text_string_to_metric_families(text)}
    wanted = {"reconcile_seconds", "queue_depth", "api_errors", "api_writes", "runs", "restarts"}
    assert {f"uncensor_{name}" for name in wanted} <= names


def test_a_process_that_lives_is_healthy_and_ready_once_it_can_work():
    pulse = Pulse()
    assert [code for code, _, _ in asked(pulse, "/healthz", "/readyz")] == [200, 503]
    pulse.ready = True
    assert [code for code, _, _ in asked(pulse, "/healthz", "/readyz")] == [200, 200]


@pytest.mark.parametrize("part", ["loop", "watch", "workers"])
def test_a_dead_part_is_named_and_makes_the_process_neither_healthy_nor_ready(part):
    clock = Clock()
    pulse = Pulse(clock=clock, ready=True)
    pulse.expect("other", 1000)
    pulse.expect(part, 60)
    clock.now += 61
    health, ready = asked(pulse, "/healthz", "/readyz")
    assert health == (503, "text/plain", f"{part}: no sign of life for 61 s\n")
    assert ready[0] == 503


def test_a_part_that_beats_again_is_healthy_again():
    clock = Clock()
    pulse = Pulse(clock=clock, ready=True)
    pulse.expect("watch", 60)
    clock.now += 61
    pulse.beat("watch")
    assert [code for code, _, _ in asked(pulse, "/healthz", "/readyz")] == [200, 200]


def test_a_port_that_is_taken_is_an_error_of_the_start():
    async def twice():
        with socket.socket() as taken:
            taken.bind(("", 0))
            taken.listen()
            await serve(Pulse(), taken.getsockname()[1])

    with pytest.raises(OSError, match="address already in use"):
        asyncio.run(twice())
