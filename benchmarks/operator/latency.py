"""How soon the operator acts, and what it adds to a PyTorchJob made by hand. Real kubelet.

The double of the trainer (tests/cluster/stunts.py) stands in for it: its stages take no time, so
what is left is what Kubernetes and the operator need. Every moment is taken by a watch of this
program, on one monotonic clock; a stage's process also writes the machine's uptime as its last act.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path
from typing import Any

from measuring import (
    Object,
    Watch,
    a_cluster,
    a_run,
    an_operator,
    runs_path,
    say,
    settings,
    spread,
    wait_until,
    write,
)

from cluster import stunts
from cluster.clusters import Cluster, Shape
from cluster.volumes import RunNamespace, run_namespace_of

STAGES = ("fetch", "filter", "prepare", "train", "probe")
JOBS = "/apis/batch/v1/namespaces/{}/jobs"
PYTORCHJOBS = "/apis/kubeflow.org/v1/namespaces/{}/pytorchjobs"
PODS = "/api/v1/namespaces/{}/pods"
# The last act of a stage's process; the clock of the whole machine, in hundredths of a second.
LAST_ACT = "cut -d' ' -f1 /proc/uptime > /workspace/seen/end-$stage-$rank\n"


class Diary:
    """When this program first saw something: ("created", "fetch") of a run, and so on."""

    def __init__(self, space: RunNamespace) -> None:
        self.moments: dict[tuple[str, str], float] = {}
        api, name = space.api, space.name
        Watch(api, JOBS.format(name), self._child)
        Watch(api, PYTORCHJOBS.format(name), self._child)
        Watch(api, PODS.format(name), self._pod)
        Watch(api, runs_path(name), self._run)

    def note(self, what: str, name: str, moment: float) -> None:
        self.moments.setdefault((what, name), moment)

    def at(self, what: str, name: str) -> float | None:
        return self.moments.get((what, name))

    def wait(self, what: str, name: str, seconds: float = 120) -> float:
        wait_until(f"{what} {name}", lambda: (what, name) in self.moments, seconds, 0.02)
        return self.moments[what, name]

    def _child(self, moment: float, _event: str, raw: Object) -> None:
        name = raw["metadata"]["name"]
        self.note("created", name, moment)
        if is_true(raw, "Complete") or is_true(raw, "Succeeded"):
            self.note("complete", name, moment)

    def _pod(self, moment: float, _event: str, raw: Object) -> None:
        owner = raw["metadata"].get("ownerReferences", [{"name": ""}])[0]["name"]
        master = raw["metadata"]["labels"].get("training.kubeflow.org/replica-type", "master")
        phase = raw.get("status", {}).get("phase")
        if phase == "Succeeded" and master == "master":
            self.note("pod over", owner, moment)

    def _run(self, moment: float, _event: str, raw: Object) -> None:
        run = raw["metadata"]["name"]
        for stage in raw.get("status", {}).get("stages", ()):
            if stage["state"] == "Succeeded":
                self.note("status", f"{run}-{stage['name']}", moment)


def is_true(raw: Object, condition: str) -> bool:
    found = raw.get("status", {}).get("conditions", ())
    return any(one["type"] == condition and one["status"] == "True" for one in found)


def measure(arguments: argparse.Namespace) -> None:
    with a_cluster("lat", Shape(nodes=1)) as cluster:
        cluster.load(stunts.stunt_archive(cluster.programs).path)
        with an_operator(cluster), run_namespace_of(cluster, "latency") as space:
            diary = Diary(space)
            first = first_children(space, diary, arguments.number or 24)
            pairs = [one_pair(space, diary, number) for number in range(arguments.pairs)]
    write("latency", record(cluster, first, pairs))


def record(cluster: Cluster, first: list[float], pairs: list[Object]) -> Object:
    def each(name: str) -> list[float]:
        return [one for pair in pairs for one in pair[name]]

    ours, theirs = each("training"), each("by hand")
    overhead = [a - b for a, b in zip(ours, theirs, strict=True)]
    return {
        "cluster": f"{cluster.shape}, Kubernetes and the training-operator real",
        "settings": settings(),
        "seconds": {
            "create answered -> first child": spread(first + each("first")),
            "pod Succeeded -> next child": spread(each("from pod")),
            "Job Complete or PyTorchJob Succeeded -> next child": spread(each("from child")),
            "last act of the process -> next child": spread(each("from process")),
            "train stage: pod before it Succeeded -> status says Succeeded": spread(ours),
            "the same PyTorchJob by hand: create answered -> Succeeded": spread(theirs),
            "overhead of a training, pair by pair": spread(overhead),
            "whole run: create answered -> train Succeeded in the status": spread(each("run")),
        },
        "limits": {"first child": 1.0, "next child": 1.0, "overhead of a training": 2.0},
        "ratios": {"training over by hand": round(median(ours) / median(theirs), 3)},
    }


def median(values: list[float]) -> float:
    return statistics.median(values)


def first_children(space: RunNamespace, diary: Diary, number: int) -> list[float]:
    """Create runs one after the other, and take each away when it has its first child."""
    found = []
    for index in range(number):
        name = f"first-{index}"
        answered = created(space, name)
        found.append(diary.wait("created", f"{name}-fetch-1") - answered)
        space.api.delete(f"{runs_path(space.name)}/{name}")
        # What is left of it must not be measured with the next one.
        wait_until("the end of its pods", lambda: not space.api.items(space.path("pods")), 90, 0.3)
    say(f"first children: {spread(found)}")
    return found


def created(space: RunNamespace, name: str, nodes: int = 2) -> float:
    folder = space.volume(name)
    prepare(folder)
    space.api.create(runs_path(space.name), a_run(space.name, name, nodes))
    return time.monotonic()


def prepare(folder: Path) -> None:
    """Give every stage its last act; the pods' user must be able to write beside it."""
    (folder / "stunts").mkdir()
    (folder / "seen").mkdir()
    (folder / "seen").chmod(0o777)
    for stage in STAGES:
        (folder / "stunts" / stage).write_text(LAST_ACT)


def one_pair(space: RunNamespace, diary: Diary, number: int) -> dict[str, Any]:
    """A run up to the stage after training, then its PyTorchJob once more, made by hand."""
    name = f"pair-{number}"
    answered = created(space, name)
    diary.wait("created", f"{name}-probe-1", 240)
    done = diary.wait("status", f"{name}-train")
    found = {
        "first": [diary.wait("created", f"{name}-fetch-1") - answered],
        "run": [done - answered],
        "training": [done - diary.wait("pod over", f"{name}-prepare-1")],
        **gaps(space, diary, name),
    }
    quiet(space, name)
    found["by hand"] = [by_hand(space, diary, name)]
    space.api.delete(f"{runs_path(space.name)}/{name}")
    wait_until("the end of its pods", lambda: not space.api.items(space.path("pods")), 90, 0.3)
    say(f"{name}: {found}")
    return found


def gaps(space: RunNamespace, diary: Diary, name: str) -> dict[str, list[float]]:
    """From the end of a stage to the child of the next one, by three ideas of an end."""
    found: dict[str, list[float]] = {"from pod": [], "from child": [], "from process": []}
    offset = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    for before, after in itertools.pairwise(STAGES):
        begun = diary.wait("created", f"{name}-{after}-1")
        over = f"{name}-{before}-1"
        found["from pod"].append(begun - diary.wait("pod over", over))
        found["from child"].append(begun - diary.wait("complete", over))
        ends = (space.folder / f"{name}-workspace" / "seen" / f"end-{before}-0").read_text()
        found["from process"].append(begun - (float(ends) - offset))
    return found


def quiet(space: RunNamespace, name: str) -> None:
    """Let the run's other stages end: the machine is small."""
    path = f"{runs_path(space.name)}/{name}"
    wait_until("the run's end", lambda: is_true(space.api.get(path), "Succeeded"), 240, 0.3)


def by_hand(space: RunNamespace, diary: Diary, run: str) -> float:
    """The training's own PyTorchJob under another name, with nothing that the operator looks at."""
    path = PYTORCHJOBS.format(space.name)
    spec = space.api.get(f"{path}/{run}-train-1")["spec"]
    for replica in spec["pytorchReplicaSpecs"].values():
        replica["template"].pop("metadata", None)
    name = f"hand-{run}"
    head = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob"}
    body = {**head, "metadata": {"name": name, "namespace": space.name}, "spec": spec}
    space.api.create(path, body)
    answered = time.monotonic()
    taken = diary.wait("complete", name) - answered
    space.api.delete(f"{path}/{name}")
    return taken
