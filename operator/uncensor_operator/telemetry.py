"""Metrics of the operator, and the little server that shows them and its health."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
RECONCILE_SECONDS = Histogram(
    "uncensor_reconcile_seconds", "Duration of one pass over one run.", buckets=_FAST
)
RECONCILE_ERRORS = Counter(
    "uncensor_reconcile_errors_total", "Passes that ended with an error, by kind.", ["kind"]
)
QUEUE_DEPTH = Gauge("uncensor_queue_depth", "Runs that wait for a pass.")
QUEUE_SECONDS = Histogram(
    "uncensor_queue_seconds", "Time between a change and the pass over it.", buckets=_FAST
)
API_SECONDS = Histogram(
    "uncensor_api_request_seconds", "Duration of API requests.", ["method", "resource"]
)
API_ERRORS = Counter(
    "uncensor_api_errors_total",
    "API requests that failed, by status code; 0 is no answer.",
    ["method", "resource", "code"],
)
WRITES = Counter("uncensor_api_writes_total", "Writes to the API, by what was written.", ["what"])
RUNS = Gauge("uncensor_runs", "Runs by phase.", ["phase"])
RESTARTS = Counter("uncensor_restarts_total", "Attempts that failed, by reason.", ["reason"])
WATCH_AGE = Gauge(
    "uncensor_watch_last_event_age_seconds", "Seconds since the watches were last heard of."
)
LEADER = Gauge("uncensor_leader", "1 while this process works, 0 while it stands by.")
LOOP_LAG = Gauge("uncensor_loop_lag_seconds", "How late the event loop ran its last timer.")
_RUN = ["namespace", "run"]
STEP = Gauge("uncensor_training_step", "Optimizer step of a running training.", _RUN)
LOSS = Gauge("uncensor_training_loss", "Loss of a running training.", _RUN)
SPEED = Gauge("uncensor_training_tokens_per_second", "Speed of a running training.", _RUN)
CHECKPOINT = Gauge(
    "uncensor_training_checkpoint_timestamp_seconds", "When the newest checkpoint was saved.", _RUN
)
PER_RUN = (STEP, LOSS, SPEED, CHECKPOINT)


@dataclass(slots=True)
class Pulse:
    """When each part of the operator was last known to live.

    Attributes:
        beats: monotonic time of the last sign of life, by part.
        patience: seconds of silence after which a part counts as dead, by part.
        ready: whether the process can do its work, or take it over.
    """

    clock: Callable[[], float] = time.monotonic
    beats: dict[str, float] = field(default_factory=dict)
    patience: dict[str, float] = field(default_factory=dict)
    ready: bool = False

    def expect(self, part: str, patience: float) -> None:
        """From now on, a part must beat at least so often."""
        self.patience[part] = patience
        self.beat(part)

    def beat(self, part: str) -> None:
        """A part lives."""
        self.beats[part] = self.clock()

    def dead(self) -> Mapping[str, float]:
        """Return the parts that were silent for too long, with the seconds of their silence."""
        now = self.clock()
        silence = {part: now - self.beats[part] for part in self.patience}
        return {part: age for part, age in silence.items() if age > self.patience[part]}


async def serve(pulse: Pulse, port: int) -> web.AppRunner:
    """Serve /metrics, /healthz and /readyz; the caller cleans the runner up.

    Raises:
        OSError: the port is taken.
    """
    app = web.Application()
    app.add_routes(
        [
            web.get("/metrics", _metrics),
            web.get("/healthz", partial(_health, pulse)),
            web.get("/readyz", partial(_readiness, pulse)),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _health(pulse: Pulse, _: web.Request) -> web.Response:
    dead = pulse.dead()
    if not dead:
        return web.Response(text="ok\n")
    lines = [f"{part}: no sign of life for {age:.0f} s" for part, age in sorted(dead.items())]
    return web.Response(status=503, text="\n".join(lines) + "\n")


async def _readiness(pulse: Pulse, _: web.Request) -> web.Response:
    if pulse.ready and not pulse.dead():
        return web.Response(text="ok\n")
    return web.Response(status=503, text="not ready\n")
