"""A kubelet and controllers that play along: they bring a simulated run forward by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from support.simulation import KINDS, Simulation, a_spec, owner_of
from uncensor_operator.plan.outcome import Plan
from uncensor_operator.plan.world import LiveProgress

SUMMARIES: Mapping[str, dict[str, Any]] = {
    "fetch": {
        "model": {"parameters": 1000, "hidden_size": 8, "layers": 2, "vocabulary": 100},
    },
    "filter": {"rows": 10, "kept": 7, "dropped": 3, "byClass": {"refusal": 3}},
    "prepare": {"filtered": {"rows": 7, "tokens": 700, "longest": 200}},
    "train": {"finalLoss": 1.25, "tokensPerSecond": 1000.0},
    "evaluate": {"rates": {"baseline": 0.5, "filtered": 0.0}},
}
Behaviour = Callable[[Simulation, str], Any]


def well(sim: Simulation, name: str) -> None:
    """A child does its work."""
    stage = sim.child(name)["metadata"]["labels"]["uncensor.dev/stage"]
    sim.complete(name, SUMMARIES.get(stage))


def badly(code: int, **how: Any) -> Behaviour:
    """A child fails with a code."""
    return lambda sim, name: sim.fail(name, code, **how)


def nothing(sim: Simulation, name: str) -> None:
    """A child runs on without a step."""


class Driver:
    """Walks a simulation to rest; `behaviours` say which children do not simply succeed."""

    def __init__(self, sim: Simulation, behaviours: Mapping[str, Behaviour] | None = None) -> None:
        self.sim = sim
        self.behaviours = dict(behaviours or {})

    def act(self) -> bool:
        """Let every child and pod come one step further; tell whether any did."""
        before = self._picture()
        for name in list(self.sim.children):
            self._further(name)
        for name, pod in list(self.sim.pods.items()):
            leaving = "deletionTimestamp" in pod["metadata"]
            orphan = self._is_orphan(pod) and self.sim.lingers is False
            if pod["spec"]["nodeName"] not in self.sim.absent and (leaving or orphan):
                del self.sim.pods[name]
        return self._picture() != before

    def once(self) -> Plan:
        """One pass, and what the cluster makes of it."""
        wanted = self.sim.once()
        self.act()
        return wanted

    def walk(self, until: Callable[[Simulation], bool] | None = None, limit: int = 200) -> Driver:
        """Passes until `until` holds, or the run rests; time goes on when nothing else does."""
        for _ in range(limit):
            if until is not None and until(self.sim):
                return self
            if not self.forward() and self.rests():
                assert until is None, f"never came: {self.sim.status['phase']}"
                return self
        raise AssertionError(f"no rest after {limit} passes: {self.sim.status['phase']}")

    def forward(self) -> bool:
        """One pass; when nothing changed by it, time passes. Tell whether anything changed."""
        writes = self.sim.writes
        wanted = self.sim.once()
        changed = self.act() or self.sim.writes != writes or bool(wanted.steps)
        if not changed and self.sim.again_in is not None:
            self.sim.wait(max(1.0, self.sim.again_in))
        return changed

    def rests(self) -> bool:
        """Whether the operator waits for nothing but people."""
        phase, again = self.sim.status.get("phase"), self.sim.again_in
        return again is None or phase in ("Succeeded", "Stalled", "Suspended")

    def _further(self, name: str) -> None:
        sim, child = self.sim, self.sim.child(name)
        if child.get("status", {}).get("conditions") or child["spec"].get("suspend"):
            return
        if not sim.pods_of(name):
            sim.start(name)
            return
        self.behaviours.get(name, well)(sim, name)

    def _is_orphan(self, pod: dict[str, Any]) -> bool:
        known = {one["metadata"]["uid"] for (kind, _), one in self.sim.objects.items()}
        return owner_of(pod) not in known

    def _picture(self) -> str:
        children = {n: o for (k, n), o in self.sim.objects.items() if k in KINDS}
        return json.dumps([children, self.sim.pods], sort_keys=True)


TIMES = ("lastTransitionTime", "startedAt", "finishedAt", "time", "retryAt", "suspendedSeconds")


def timeless(value: Any) -> Any:
    """A status without times, so that two ways to the same end compare equal."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def training(**spec: Any) -> Simulation:
    """A run whose training has just begun to run."""
    sim = Simulation(a_spec(**spec))
    sim.pass_stages("fetch", "filter", "prepare")
    sim.start("r-train-1").settle()
    return sim


def saved(sim: Simulation, child: str, step: int, total: int = 100) -> None:
    """Let an attempt tell of a checkpoint."""
    pod = sim.pods[f"{child}-master-0"]["metadata"]["uid"]
    sim.progress[child] = LiveProgress(
        pod, step=step, total=total, checkpoint=step, checkpoint_at=sim.now, seen_at=sim.now
    )


def suspend(sim: Simulation, value: bool = True) -> Simulation:
    """Suspend a run, or let it go on."""
    return sim.edit(lambda spec: spec.update(suspend=value))


def states(sim: Simulation) -> dict[str, str]:
    """The state of each stage."""
    return {one["name"]: one["state"] for one in sim.status["stages"]}
