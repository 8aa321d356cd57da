"""The engine: store, queue, workers, resync and log reading around kopf's watches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter as Counts
from collections.abc import Callable, Coroutine
from typing import Any

import kopf

from uncensor_operator import telemetry
from uncensor_operator.cluster.client import CONFLICT, NOT_FOUND, ApiError, Client
from uncensor_operator.cluster.events import Recorder
from uncensor_operator.cluster.execute import Executor
from uncensor_operator.cluster.logs import LogBook
from uncensor_operator.cluster.observe import Observer
from uncensor_operator.cluster.resources import PODS, RUNS, SELECTOR, WATCHED, Resource
from uncensor_operator.cluster.store import NAMES_ONLY, Key, Store
from uncensor_operator.errors import UncensorError
from uncensor_operator.handlers.runs import Reconciler
from uncensor_operator.handlers.watching import kopf_settings, registry
from uncensor_operator.handlers.workqueue import WorkQueue
from uncensor_operator.names import StageState
from uncensor_operator.plan.pods import Pod, pod_of
from uncensor_operator.plan.times import read_time
from uncensor_operator.settings import Settings
from uncensor_operator.telemetry import Pulse

LOG = logging.getLogger(__name__)
# Bookmarks come every minute; kopf gives a silent stream up after 70 s. Twice that is dead.
WATCH_PATIENCE = 180.0
LOOP_PATIENCE = 60.0
LOOP_TICK = 1.0
WORKER_PATIENCE = 300.0
LOG_READS_A_SECOND = 25.0
BUSY_SECONDS = 0.5


class Engine:
    """Everything that works while this process is the leader."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        pulse: Pulse,
        instance: str,
        take_signals: Callable[[], None] = lambda: None,
    ) -> None:
        self._take_signals = take_signals
        self._client = client
        self._settings = settings
        self._pulse = pulse
        self._store = Store()
        self._queue = WorkQueue()
        self._logs = LogBook(client)
        self._recorder = Recorder(client, instance)
        self._reconciler = Reconciler(
            Observer(client, self._store, self._logs),
            Executor(client, self._store),
            self._recorder,
            settings,
        )

    async def run(self) -> None:
        """Work until cancelled, or until one of the parts ends, which none ever should.

        Raises:
            ApiError: the first list failed for good.
            RuntimeError: a part ended.
        """
        await self._fill()
        parts = {
            "watching": self._watch(),
            "resync": self._resync(),
            "logs": self._read_logs(),
            "events": self._recorder.write(self._has_time),
            "census": self._census(),
            **{f"worker-{n}": self._work() for n in range(self._settings.engine.workers)},
        }
        await _all(parts)

    async def _fill(self) -> None:
        """List everything once, so that no pass takes a part for absent that is only unseen."""
        for resource in (*WATCHED, RUNS):
            for namespace in self._namespaces():
                await self._list(resource, namespace)
        for key in self._store.known():
            self._queue.add(key)
        LOG.info("%d runs", len(self._store.known()))

    async def _list(self, resource: Resource, namespace: str | None) -> None:
        each = self._client.each_metadata if resource in NAMES_ONLY else self._client.each
        try:
            # One by one: the store keeps a small part of each, and thousands may come.
            async for raw in each(resource, namespace, **_selection(resource)):
                # Lists leave the kind of their items out, or say what kind of metadata it is.
                raw |= {"kind": resource.kind, "apiVersion": resource.version}
                self._store.put(resource, raw)
        except ApiError as error:
            if error.code == NOT_FOUND:
                LOG.error(  # noqa: TRY400 - a missing CRD is no fault with a trace
                    "The cluster has no %s. Install its CRD (`uncensor doctor` shows how); the "
                    "operator starts again until it is there.",
                    resource.plural,
                )
            raise

    def _namespaces(self) -> tuple[str | None, ...]:
        return self._settings.namespaces or (None,)

    async def _watch(self) -> None:
        self._pulse.expect("watch", WATCH_PATIENCE)
        namespaces = self._settings.namespaces
        try:
            ours = asyncio.all_tasks()
            tasks = await kopf.spawn_tasks(
                registry=registry(self._store, self._mark_changed, self._heard),
                settings=kopf_settings(self._settings),
                standalone=True,
                clusterwide=not namespaces,
                namespaces=namespaces,
            )
            # kopf has just taken the signals for itself.
            self._take_signals()
            # At its end kopf cancels every task that it is not told to leave alone.
            await kopf.run_tasks(tasks, ignored=ours)
        except Exception as error:
            # A list that is refused for good, a kind that is gone: a new process begins anew.
            raise UncensorError(f"The watches have ended: {error}") from error

    def _mark_changed(self, key: Key) -> None:
        self._queue.add(key, ahead=self._store.is_new(key))

    def _heard(self) -> None:
        self._pulse.beat("watch")

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            self._pulse.beat("workers")
            try:
                again = await self._reconciler.reconcile(key)
            except ApiError as error:
                telemetry.RECONCILE_ERRORS.labels(str(error.code)).inc()
                delay = self._queue.failed(key) if error.code != CONFLICT else 0.2
                if error.code == CONFLICT:
                    await self._refresh(key)
                    self._queue.done(key, delay)
                else:
                    LOG.warning("%s/%s: %s; again in %.1f s", *key, error, delay)
            except Exception as error:
                telemetry.RECONCILE_ERRORS.labels("fault").inc()
                LOG.exception("%s/%s: a fault of our own", *key)
                await self._mark(key, error)
                self._queue.failed(key, at_least=5.0)
            else:
                if self._store.run(key) is None:
                    self._queue.forget(key)
                else:
                    self._queue.done(key, again)

    async def _refresh(self, key: Key) -> None:
        """Somebody was quicker: look at the object itself, the watch may still be behind."""
        try:
            raw = await self._client.get(RUNS, key.namespace, key.name)
        except ApiError:
            return
        if raw is not None:
            self._store.put(RUNS, raw)

    async def _mark(self, key: Key, error: Exception) -> None:
        try:
            await self._reconciler.mark_stuck(key, error)
        except Exception:
            LOG.exception("%s/%s: the fault could not be shown", *key)

    async def _resync(self) -> None:
        """Look at every run now and then, whatever the watches say."""
        while True:
            await asyncio.sleep(self._settings.engine.resync_seconds)
            await self._prune()
            keys = self._store.known()
            for number, key in enumerate(keys):
                # Spread, so that an idle operator stays idle.
                self._queue.add(key, number * min(0.05, 10 / max(1, len(keys))))

    async def _prune(self) -> None:
        """Forget objects that were deleted while a watch was broken: nobody tells of those.

        Only names and versions are asked for, and an object that is gone is marked to be looked at.
        """
        for resource in (*WATCHED, RUNS):
            before = self._store.uids(resource)
            found: set[str] = set()
            try:
                for namespace in self._namespaces():
                    every = self._client.each_metadata(resource, namespace, **_selection(resource))
                    found |= {raw["metadata"]["uid"] async for raw in every}
            except ApiError as error:
                LOG.warning("resync of %s: %s", resource.plural, error)
                continue
            for uid, raw in before.items():
                if uid not in found:
                    key = self._store.remove(resource, raw)
                    if key is not None:
                        self._queue.add(key)

    async def _read_logs(self) -> None:
        """Read the log of every working pod that speaks, every few seconds.

        Spread over that time, and never more than LOG_READS_A_SECOND: a thousand stages at work
        are read less often, and cost the API server no more than 250 do.
        """
        while True:
            living, speaking = self._pods()
            self._logs.forget(living)
            round_seconds = max(
                self._settings.engine.progress_seconds, len(speaking) / LOG_READS_A_SECOND
            )
            for key, pod in speaking:
                await asyncio.sleep(round_seconds / len(speaking))
                await self._has_time()
                if await self._logs.read(key.namespace, pod.name, pod.uid):
                    self._queue.add(key)
            if not speaking:
                await asyncio.sleep(round_seconds)

    async def _has_time(self) -> None:
        """Return when workers keep up: what moves runs goes before what people look at."""
        while self._queue.overdue > self._settings.engine.workers:  # noqa: ASYNC110 - no event
            await asyncio.sleep(BUSY_SECONDS)

    def _pods(self) -> tuple[set[str], list[tuple[Key, Pod]]]:
        """Return the uids of all pods, and those whose log says something now."""
        found = [
            (key, pod_of(raw))
            for key in self._store.known()
            for raw in self._store.parts(key, PODS)
        ]
        speaking = [
            (key, pod) for key, pod in found if pod.speaks and pod.running_since and not pod.is_over
        ]
        return {pod.uid for _, pod in found}, speaking

    async def _census(self) -> None:
        """Count runs, and see whether the loop keeps time."""
        self._pulse.expect("loop", LOOP_PATIENCE)
        number = 0
        while True:
            began = time.monotonic()
            await asyncio.sleep(LOOP_TICK)
            telemetry.LOOP_LAG.set(max(0.0, time.monotonic() - began - LOOP_TICK))
            self._pulse.beat("loop")
            telemetry.WATCH_AGE.set(time.monotonic() - self._pulse.beats.get("watch", began))
            number += 1
            if number % 15 == 1:
                self._count()

    def _count(self) -> None:
        phases: Counts[str] = Counts()
        for part in telemetry.PER_RUN:
            part.clear()
        for key in self._store.known():
            raw = self._store.run(key) or {}
            status = raw.get("status", {})
            phases[status.get("phase", "new")] += 1
            _show_training(key, status)
        telemetry.RUNS.clear()
        for phase, count in phases.items():
            telemetry.RUNS.labels(phase).set(count)


def _selection(resource: Resource) -> dict[str, str]:
    """Return the parameters of a list that leave out what is no run's."""
    return {} if resource is RUNS else {"labelSelector": SELECTOR}


def _show_training(key: Key, status: dict[str, Any]) -> None:
    """Only trainings at work have series, so that their number stays that of the cluster's GPUs."""
    stages = {one["name"]: one for one in status.get("stages", ())}
    train, found = stages.get("train", {}), status.get("training", {})
    if train.get("state") != StageState.RUNNING:
        return
    step = train.get("progress", {}).get("step")
    values = (
        (telemetry.STEP, step),
        (telemetry.LOSS, found.get("loss")),
        (telemetry.SPEED, found.get("tokensPerSecond")),
    )
    for gauge, value in values:
        if value is not None:
            gauge.labels(*key).set(float(value))
    saved = found.get("lastCheckpoint", {}).get("time")
    moment = read_time(saved)
    if moment:
        telemetry.CHECKPOINT.labels(*key).set(moment.timestamp())


async def _all(parts: dict[str, Coroutine[Any, Any, None]]) -> None:
    """Run parts together; the end of one is the end of all."""
    tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.exception() if not task.cancelled() else None
            if error is not None:
                raise error
        names = ", ".join(task.get_name() for task in done)
        raise RuntimeError(f"ended, which it never should: {names}")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
