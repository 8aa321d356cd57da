"""A run on a real cluster, and what a test does to it and asks about it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.api import ApiError, Object
from cluster.volumes import RunNamespace

RUNS = "uncensor.dev/v1alpha1"
STAGES = ("fetch", "filter", "prepare", "train", "probe", "evaluate", "report")


@dataclass
class Stage:
    """A run in a namespace of its own, and what a test asks about it."""

    space: RunNamespace
    workspace: Path
    name: str = "run"

    def stunt(self, stage: str, script: str) -> None:
        """What the double does in a stage, as shell; afterwards it says that all is done."""
        folder = self.workspace / "stunts"
        folder.mkdir(exist_ok=True)
        partial = folder / f".{stage}"
        partial.write_text(script)
        partial.rename(folder / stage)

    def apply(self, spec: dict[str, Any] | None = None, **metadata: Any) -> None:
        body = {
            "apiVersion": RUNS,
            "kind": "UncensorTraining",
            "metadata": {"name": self.name, **metadata},
            "spec": {**a_small_spec(), **(spec or {})},
        }
        self.space.kubectl("apply", "-f", "-", stdin=json.dumps(body))

    def patch(self, body: dict[str, Any]) -> None:
        words = ("patch", "ut", self.name, "--type=merge", "-p", json.dumps(body))
        self.space.kubectl(*words)

    @property
    def path(self) -> str:
        return f"{self.space.path('uncensortrainings', RUNS)}/{self.name}"

    @property
    def raw(self) -> Object:
        return self.space.api.get(self.path)

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.raw.get("status", {}))

    def stage(self, name: str) -> dict[str, Any]:
        found = [one for one in self.status.get("stages", ()) if one["name"] == name]
        return found[0] if found else {"state": "absent"}

    def condition(self, kind: str) -> dict[str, Any]:
        found = [one for one in self.status.get("conditions", ()) if one["type"] == kind]
        return found[0] if found else {"status": "absent", "reason": "", "message": ""}

    def children(self, kind: str = "jobs", group: str = "batch/v1") -> list[Object]:
        return self.space.api.items(self.space.path(kind, group))

    def pods(self) -> list[Object]:
        return self.space.api.items(self.space.path("pods"))

    def pod(self, prefix: str) -> Object:
        found = [pod for pod in self.pods() if pod["metadata"]["name"].startswith(prefix)]
        assert found, f"no pod {prefix}*"
        return max(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def starts(self) -> list[str]:
        """`<stage> <attempt> <rank>` of every start of the double, in order."""
        path = self.workspace / "seen" / "starts"
        return path.read_text().splitlines() if path.exists() else []

    def events(self) -> list[Object]:
        found = self.space.api.items(self.space.path("events", "events.k8s.io/v1"))
        return [one for one in found if one.get("regarding", {}).get("kind") == "UncensorTraining"]

    def wait(self, what: str, check: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if check():
                    return
            except ApiError as error:
                if error.code != 404:
                    raise
            if time.monotonic() > deadline:
                status = json.dumps(self.status, indent=1)
                raise AssertionError(f"{what} did not come within {seconds} s:\n{status}")
            time.sleep(0.1)

    def wait_for(self, kind: str, status: str = "True", seconds: float = 60) -> dict[str, Any]:
        self.wait(
            f"{kind}={status}", lambda: self.condition(kind)["status"] == status, seconds=seconds
        )
        return self.condition(kind)

    def wait_state(self, stage: str, state: str, seconds: float = 60) -> None:
        self.wait(f"{stage} {state}", lambda: self.stage(stage)["state"] == state, seconds=seconds)


def a_small_spec() -> dict[str, Any]:
    return {
        "model": {"path": "models/tiny"},
        "datasets": [{"name": "rows", "path": "rows.jsonl"}],
        "compute": {"pool": "cpu", "nodes": 1, "gpusPerNode": 0},
        "runPolicy": {"terminationGracePeriodSeconds": 30},
    }
