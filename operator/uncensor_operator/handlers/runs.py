"""One pass over one run: look, plan, carry out, write the status once, tell events."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from uncensor_operator.api.status import Status
from uncensor_operator.cluster.client import ApiError
from uncensor_operator.cluster.events import Recorder
from uncensor_operator.cluster.execute import Executor, NotOursError
from uncensor_operator.cluster.observe import Observer
from uncensor_operator.cluster.store import Key
from uncensor_operator.names import Reason
from uncensor_operator.plan.attempts import refused
from uncensor_operator.plan.outcome import Event, Plan
from uncensor_operator.plan.placement import Obstacle
from uncensor_operator.plan.reconcile import plan, stuck
from uncensor_operator.plan.world import World
from uncensor_operator.settings import Settings
from uncensor_operator.telemetry import RECONCILE_SECONDS, RESTARTS

LOG = logging.getLogger(__name__)
# A quota may be raised, a policy changed: what was refused is tried again so often.
REFUSED_SECONDS = 20.0
# An object that has our name, most often of a run that is just going away.
TAKEN_SECONDS = 3.0


class Reconciler:
    """Brings runs closer to their spec, one pass at a time."""

    def __init__(
        self, observer: Observer, executor: Executor, recorder: Recorder, settings: Settings
    ) -> None:
        self._observer = observer
        self._executor = executor
        self._recorder = recorder
        self._settings = settings

    async def reconcile(self, key: Key) -> float | None:
        """Carry out one pass; return the seconds until the next one, None when nothing is due.

        Raises:
            ApiError: the API server did not answer, or the object has changed meanwhile.
        """
        began = time.monotonic()
        world = await self._observer.look(key)
        if world is None:
            return None
        again = await self._follow(key, world, plan(world, self._settings))
        RECONCILE_SECONDS.observe(time.monotonic() - began)
        return again

    async def mark_stuck(self, key: Key, error: Exception) -> None:
        """Show a fault of our own in the run's status; the other runs go on."""
        world = await self._observer.look(key)
        if world is None:
            return
        what = f"{type(error).__name__}: {error}"
        obstacle = Obstacle(
            Reason.CONTROLLER_ERROR,
            f"A fault of the operator itself ({what}); its log has the trace. It tries again by "
            "itself; please report it.",
        )
        await self._executor.write_status(world.manifest, stuck(world, obstacle).status or Status())

    async def _follow(self, key: Key, world: World, wanted: Plan) -> float | None:
        try:
            await self._executor.execute(key, world.uid, wanted.steps)
        except NotOursError as error:
            taken = Obstacle(Reason.WAITING_FOR_OLD_PODS, str(error))
            wanted = self._without_steps(world, taken, TAKEN_SECONDS)
        except ApiError as error:
            if not error.is_final or "being terminated" in str(error):
                raise
            LOG.warning("refused", extra={"run": key, "error": str(error)})
            wanted = self._without_steps(world, refused(str(error)), REFUSED_SECONDS)
        if wanted.status is None:
            return wanted.again_in
        written = await self._executor.write_status(world.manifest, wanted.status)
        if not written:
            return wanted.again_in
        await self._tell(world, wanted.events)
        # What follows from what was just written down: a child is deleted after its judgement.
        return 0.0

    def _without_steps(self, world: World, obstacle: Obstacle, again_in: float) -> Plan:
        """The plan when a step was refused: what was learnt is kept, and people read why."""
        return replace(plan(replace(world, refused=obstacle), self._settings), again_in=again_in)

    async def _tell(self, world: World, events: Sequence[Event]) -> None:
        for event in events:
            LOG.info(
                "%s/%s: %s: %s", world.namespace, world.name, event.reason.value, event.message
            )
            if event.type == "Warning":
                RESTARTS.labels(event.reason.value).inc()
            await self._recorder.record(world.manifest, event)
