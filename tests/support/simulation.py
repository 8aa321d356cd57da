"""A cluster made of dictionaries: it carries plans out, and tests play kubelet and controllers.

Not a fake API server (requests are tested against a real one): it lets a test walk a run from
state to state through the pure plan, with time in its hands.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from uncensor_operator.api.objects import training_of
from uncensor_operator.api.v1alpha1 import Status
from uncensor_operator.cluster.execute import difference
from uncensor_operator.errors import SpecError
from uncensor_operator.plan.outcome import Create, Delete, Event, Patch, Plan
from uncensor_operator.plan.placement import Obstacle
from uncensor_operator.plan.pods import pod_of
from uncensor_operator.plan.reconcile import plan
from uncensor_operator.plan.world import (
    LiveProgress,
    WarningEvent,
    World,
    child_of,
    claim_of,
)
from uncensor_operator.settings import Settings

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
KINDS = ("Job", "PyTorchJob")
SETTINGS = {
    "trainerImage": {"reference": "trainer:1"},
    "defaultPool": "cpu",
    "pools": [
        {"name": "cpu", "profile": "cpu"},
        {"name": "a100-80gb", "profile": "aks-a100-80gb"},
    ],
}


def a_spec(**given: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "model": {"huggingFace": {"repo": "owner/model"}},
        "datasets": [{"name": "rows", "huggingFace": {"repo": "owner/rows"}}],
        "compute": {"pool": "cpu", "nodes": 1, "gpusPerNode": 0},
    }
    return spec | given


def settings_with(**given: Any) -> Settings:
    return Settings.model_validate({**SETTINGS, **given})


class Simulation:
    """One run, everything that belongs to it, and a clock."""

    def __init__(
        self, spec: dict[str, Any] | None = None, settings: Settings | None = None
    ) -> None:
        self.now = START
        self.settings = settings or settings_with()
        self.run: dict[str, Any] = {
            "apiVersion": "uncensor.dev/v1alpha1",
            "kind": "UncensorTraining",
            "metadata": {"name": "r", "namespace": "ns", "uid": "run-uid", "generation": 1},
            "spec": spec or a_spec(),
            "status": {"observedGeneration": -1},
        }
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.progress: dict[str, LiveProgress] = {}
        self.warnings: list[WarningEvent] = []
        self.absent: set[str] = set()
        self.events: list[Event] = []
        self.again_in: float | None = None
        self.writes = 0
        self._uids = itertools.count(1)
        self.binds = True
        # Whether pods take a while to end after they were told to.
        self.lingers = False
        # Every child that there ever was, in order.
        self.created: list[str] = []

    # --- the operator -------------------------------------------------------------------------

    def world(self) -> World:
        try:
            training, problem = training_of(self.run), ""
        except SpecError as error:
            training, problem = None, str(error)
        owned = [one for (kind, _), one in self.objects.items() if kind in KINDS]
        children = tuple(child_of(one, tuple(self._pods(one))) for one in owned)
        known = {one["metadata"]["uid"] for one in owned}
        strangers = [pod for pod in self.pods.values() if owner_of(pod) not in known]
        existing = self.run["spec"].get("workspace", {}).get("existingClaim")
        claim = self.objects.get(("PersistentVolumeClaim", existing or "r-workspace"))
        return World(
            now=self.now,
            manifest=copy.deepcopy(self.run),
            training=training,
            problem=problem,
            status=Status.model_validate_json(json.dumps(self.run["status"]), by_name=False),
            children=tuple(sorted(children, key=lambda one: (one.created, one.attempt))),
            strangers=tuple(pod_of(pod) for pod in strangers),
            claim=claim_of(claim, "run-uid", ours=existing is None) if claim else None,
            config_maps=self._names("ConfigMap"),
            policies=self._names("NetworkPolicy"),
            progress=dict(self.progress),
            warnings=tuple(self.warnings),
            absent_nodes=frozenset(self.absent),
        )

    def plan(self) -> Plan:
        return plan(self.world(), self.settings)

    def once(self) -> Plan:
        """One pass, carried out."""
        return self.carry(self.plan())

    def carry(self, wanted: Plan, crash_after: int | None = None) -> Plan:
        """Carry a plan out; with `crash_after`, only its first steps, and no status."""
        for step in wanted.steps[:crash_after]:
            self.carry_out(step)
        if crash_after is not None:
            return wanted
        if wanted.status is not None:
            new = wanted.status.model_dump(by_alias=True, mode="json", exclude_none=True)
            if difference(self.run["status"], new):
                self.run["status"] = new
                self.events += wanted.events
                self.writes += 1
        self.again_in = wanted.again_in
        return wanted

    def refuse(self, obstacle: Obstacle, done: int = 0) -> Plan:
        """One pass of which the API server refuses all steps after the first `done`."""
        world = self.world()
        self.carry(plan(world, self.settings), crash_after=done)
        wanted = plan(replace(world, refused=obstacle), self.settings)
        assert not wanted.steps
        return self.carry(wanted)

    def settle(self, limit: int = 20) -> Simulation:
        """Passes until one changes nothing; a run that never rests fails the test."""
        for _ in range(limit):
            before = self.writes
            wanted = self.once()
            if self.writes == before and not wanted.steps:
                return self
        raise AssertionError(f"still busy after {limit} passes: {wanted}")

    def carry_out(self, step: Create | Delete | Patch) -> None:
        if isinstance(step, Create):
            body = copy.deepcopy(dict(step.manifest))
            key = (body["kind"], body["metadata"]["name"])
            assert key not in self.objects, f"created twice: {key}"
            body["metadata"] |= {
                "uid": f"uid-{next(self._uids)}",
                "creationTimestamp": self._text(),
            }
            if body["kind"] in KINDS:
                self.created.append(body["metadata"]["name"])
            if body["kind"] == "PersistentVolumeClaim":
                body["status"] = {"phase": "Bound" if self.binds else "Pending"}
            self.objects[key] = body
        elif isinstance(step, Delete) and step.kind == "Pod":
            self.delete_pod(step.name, step.grace_seconds or 0)
        elif isinstance(step, Delete):
            gone = self.objects.pop((step.kind, step.name), None)
            for pod in self._pods(gone) if gone else ():
                self.delete_pod(pod["metadata"]["name"], pod["spec"]["grace"])
        else:
            metadata = self.objects[(step.kind, step.name)]["metadata"]
            metadata |= dict(step.body["metadata"])

    # --- the rest of the cluster ----------------------------------------------------------------

    def wait(self, seconds: float) -> Simulation:
        self.now += timedelta(seconds=seconds)
        return self

    def child(self, name: str) -> dict[str, Any]:
        found = [one for (kind, its), one in self.objects.items() if kind in KINDS and its == name]
        assert found, f"no {name}; there are {sorted(name for _, name in self.objects)}"
        return found[0]

    def has_child(self, name: str) -> bool:
        return any(kind in KINDS and its == name for kind, its in self.objects)

    def start(self, name: str, node: str = "node-1") -> Simulation:
        """The controller makes the child's pods and they run."""
        child = self.child(name)
        for replica in replicas_of(child):
            self.add_pod(child, replica, node)
            self.run_pod(f"{name}-{replica}", node)
        return self

    def add_pod(self, child: dict[str, Any], replica: str, node: str = "") -> dict[str, Any]:
        kind = replica.partition("-")[0]
        labels = {**child["metadata"]["labels"]}
        if child["kind"] == "PyTorchJob":
            labels["training.kubeflow.org/replica-type"] = kind
        pod: dict[str, Any] = {
            "metadata": {
                "name": f"{child['metadata']['name']}-{replica}",
                "uid": f"uid-{next(self._uids)}",
                "labels": labels,
                "creationTimestamp": self._text(),
                "ownerReferences": [{"uid": child["metadata"]["uid"], "controller": True}],
            },
            "spec": {"nodeName": node, "grace": 30},
            "status": {"phase": "Pending"},
        }
        self.pods[pod["metadata"]["name"]] = pod
        return pod

    def run_pod(self, name: str, node: str = "node-1") -> None:
        pod = self.pods[name]
        pod["spec"]["nodeName"] = node
        scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": self._text()}
        pod["status"] = {
            "phase": "Running",
            "conditions": [scheduled],
            "containerStatuses": [
                {"name": "pytorch", "state": {"running": {"startedAt": self._text()}}}
            ],
        }

    def end_pod(self, name: str, code: int, *, reason: str = "", message: Any = "") -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        ended = {
            "exitCode": code,
            "reason": reason or ("Completed" if code == 0 else "Error"),
            "message": text,
            "finishedAt": self._text(),
        }
        status = self.pods[name]["status"]
        status["phase"] = "Succeeded" if code == 0 else "Failed"
        status["containerStatuses"] = [{"name": "pytorch", "state": {"terminated": ended}}]

    def delete_pod(self, name: str, grace: float) -> None:
        """A pod whose node lives ends at once; on a lost node it hangs in Terminating."""
        pod = self.pods.get(name)
        if pod is None:
            return  # gone already, which an API server takes for done
        lingers = self.lingers and pod["status"]["phase"] == "Running"
        if (lingers or pod["spec"]["nodeName"] in self.absent) and grace > 0:
            end = self.now + timedelta(seconds=grace)
            pod["metadata"].setdefault("deletionTimestamp", text_of(end))
            pod["metadata"].setdefault("deletionGracePeriodSeconds", int(grace))
        else:
            del self.pods[name]

    def take_pod(self, name: str, reason: str = "PreemptionByScheduler") -> None:
        """The cluster begins to take a pod away."""
        condition = {"type": "DisruptionTarget", "status": "True", "reason": reason}
        self.pods[name]["status"].setdefault("conditions", []).append(condition)

    def complete(self, name: str, summary: dict[str, Any] | None = None) -> Simulation:
        """All pods of a child end well, and its controller says so."""
        child = self.child(name)
        for pod in self._pods(child):
            outcome = {"outcome": "done", "summary": summary or {}}
            self.end_pod(pod["metadata"]["name"], 0, message=outcome)
        kind = "Complete" if child["kind"] == "Job" else "Succeeded"
        self.conclude(name, kind)
        return self

    def fail(self, name: str, code: int, **how: Any) -> Simulation:
        """The speaking pod ends badly, the others with it, and the controller says so."""
        child = self.child(name)
        for pod in self._pods(child):
            if pod["status"]["phase"] not in ("Succeeded", "Failed"):
                self.end_pod(pod["metadata"]["name"], code, **how)
        self.conclude(name, "Failed")
        return self

    def conclude(self, name: str, kind: str) -> None:
        condition = {"type": kind, "status": "True", "message": "The child has ended."}
        self.child(name).setdefault("status", {}).setdefault("conditions", []).append(condition)

    def pass_stages(self, *stages: str) -> Simulation:
        """Walk through stages without trouble."""
        for stage in stages:
            self.settle()
            name = self.stage(stage)["child"]
            self.start(name).settle()
            self.complete(name).settle()
        return self

    # --- looking -------------------------------------------------------------------------------

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.run["status"])

    def stage(self, name: str) -> dict[str, Any]:
        return next(one for one in self.status["stages"] if one["name"] == name)

    def condition(self, kind: str) -> tuple[str, str]:
        found = next(one for one in self.status["conditions"] if one["type"] == kind)
        return found["status"], found["reason"]

    def message(self, kind: str = "Ready") -> str:
        found = next(one for one in self.status["conditions"] if one["type"] == kind)
        return str(found["message"])

    def edit(self, change: Callable[[dict[str, Any]], None]) -> Simulation:
        """Somebody changes the spec; the server counts the generation."""
        change(self.run["spec"])
        self.run["metadata"]["generation"] += 1
        return self

    def annotate(self, **annotations: str) -> Simulation:
        self.run["metadata"].setdefault("annotations", {}).update(
            {f"uncensor.dev/{key}": text for key, text in annotations.items()}
        )
        return self

    @property
    def children(self) -> list[str]:
        return [name for kind, name in self.objects if kind in KINDS]

    def pods_of(self, name: str) -> list[dict[str, Any]]:
        return self._pods(self.child(name))

    def _pods(self, child: dict[str, Any]) -> list[dict[str, Any]]:
        return [pod for pod in self.pods.values() if owner_of(pod) == child["metadata"]["uid"]]

    def _names(self, kind: str) -> frozenset[str]:
        return frozenset(name for its, name in self.objects if its == kind)

    def _text(self) -> str:
        return text_of(self.now)


def owner_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["ownerReferences"][0]["uid"])


def replicas_of(child: dict[str, Any]) -> list[str]:
    if child["kind"] == "Job":
        return ["x"]
    replicas = child["spec"]["pytorchReplicaSpecs"]
    workers = replicas.get("Worker", {}).get("replicas", 0)
    return ["master-0", *(f"worker-{n}" for n in range(workers))]


def text_of(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
