"""From a killed worker to the next optimizer step: two pods, ZeRO-3, the real trainer and image.

The moments are those of the machine's own clock: the kill here, the pods' start as the kubelet says
it, and the trainer's own rows of metrics.jsonl, which carry the time of each optimizer step.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from measuring import (
    Object,
    a_cluster,
    a_run,
    an_operator,
    runs_path,
    say,
    spread,
    wait_until,
    write,
)

from cluster import checkout
from cluster.clusters import Shape
from cluster.processes import signal_pod
from cluster.volumes import RunNamespace, run_namespace_of
from support.tiny import tiny_model

EVERY_STEPS = 10


def measure(arguments: argparse.Namespace) -> None:
    images = checkout.product(say)
    with a_cluster("rec", Shape(nodes=2)) as cluster:
        cluster.have(images.trainer)
        given = settings(images.trainer.reference)
        with an_operator(cluster, given), run_namespace_of(cluster, "recovery") as space:
            found = [one_run(space, number) for number in range(arguments.number or 3)]
    write("recovery", record(found, given))


def settings(image: str) -> Object:
    """The chart's defaults for all that matters here: how soon a failure is seen and mended."""
    small = {"cpus": 0.1, "memory": "2Gi"}
    stages = ("fetch", "filter", "prepare", "probe", "evaluate", "report")
    pool = {"name": "cpu", "profile": "cpu", "cpus": 0.4, "memory": "4Gi"}
    return {
        "trainerImage": {"reference": image, "pullPolicy": "Never"},
        "pools": [{**pool, "environment": {"OMP_NUM_THREADS": "1"}}],
        "stages": {name: small for name in stages},
    }


def one_run(space: RunNamespace, number: int) -> Object:
    """Train until a few steps after a checkpoint, kill a worker, wait for the next step."""
    name = f"run-{number}"
    workspace = space.volume(name)
    lay_out(workspace)
    space.api.create(runs_path(space.name), training(space.name, name))
    rows = workspace / "runs" / name / "metrics.jsonl"
    wait_until("steps", lambda: last_step(rows) >= EVERY_STEPS + 3, 300, 0.02)
    killed = time.time()
    reached = last_step(rows)
    [worker] = [pod for pod in pods(space, name) if pod["metadata"]["name"].endswith("worker-0")]
    if not signal_pod(worker, signal.SIGKILL):
        raise SystemExit("The worker has no process to kill.")
    again = f"{name}-train-2"
    wait_until("the next attempt", lambda: bool(list(of_job(space, again))), 120, 0.1)
    wait_until("its pods", lambda: all(started(pod) for pod in of_job(space, again)), 120, 0.2)
    pods_at = max(started(pod) or 0.0 for pod in of_job(space, again))
    wait_until("a new step", lambda: bool(steps_after(rows, killed + 1)), 300, 0.05)
    step, at = steps_after(rows, killed + 1)[0]
    space.api.delete(f"{runs_path(space.name)}/{name}")
    wait_until("the end of its pods", lambda: not pods(space, name), 90, 0.3)
    found = {
        "seconds": at - killed,
        "untilPods": pods_at - killed,
        "startAndLoad": at - pods_at,
        "lostSteps": reached - (step - 1),
    }
    say(f"{name}: {found}")
    return found


def lay_out(workspace: Path) -> None:
    """A tiny model and rows that last for some thousand steps, where the spec looks for them."""

    with tempfile.TemporaryDirectory() as folder:
        model = tiny_model(Path(folder) / "tiny")
        there = shutil.copytree(model, workspace / "models" / "tiny")
    for file in there.iterdir():
        file.chmod(0o644)  # the pods' user is another one
    lines = [
        json.dumps({"instruction": f"Say {word} {n} times.", "input": "", "output": f"{word} " * n})
        for n in range(1, 40)
        for word in ("hello", "thanks", "welcome", "good morning")
    ]
    (workspace / "rows.jsonl").write_text("\n".join(lines) + "\n")


def training(namespace: str, name: str) -> Object:
    run = a_run(namespace, name, nodes=2)
    run["spec"]["datasets"] = [{"name": "rows", "path": "rows.jsonl", "format": "alpaca"}]
    run["spec"]["training"] = {
        "epochs": "400",
        "maxLength": 128,
        "microBatchSize": 2,
        "globalBatchSize": 8,
        "deepspeed": {"stage": 3},
        "checkpoints": {"everySteps": EVERY_STEPS, "keepLatest": 2},
    }
    return run


def last_step(rows: Path) -> int:
    return max((row["step"] for row in read(rows)), default=0)


def steps_after(rows: Path, moment: float) -> list[tuple[int, float]]:
    return [(row["step"], row["time"]) for row in read(rows) if row["time"] > moment]


def read(rows: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file that is being written: its last line may not be whole."""
    text = rows.read_text() if rows.exists() else ""
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def pods(space: RunNamespace, run: str) -> list[Object]:
    found = space.api.items(space.path("pods"))
    return [pod for pod in found if pod["metadata"]["labels"].get("uncensor.dev/run") == run]


def of_job(space: RunNamespace, job: str) -> Iterator[Object]:
    for pod in space.api.items(space.path("pods")):
        if pod["metadata"]["name"].startswith(f"{job}-"):
            yield pod


def started(pod: Object) -> float | None:
    """When its container began to run, in whole seconds of the machine's clock."""
    for one in pod.get("status", {}).get("containerStatuses", ()):
        begun = one.get("state", {}).get("running", {}).get("startedAt")
        if begun:
            return datetime.fromisoformat(begun).timestamp()
    return None


def record(found: list[Object], given: Object) -> Object:
    def each(name: str) -> list[float]:
        return [float(one[name]) for one in found]

    return {
        "cluster": "2 nodes; Kubernetes, the training-operator, the images and the trainer real",
        "model": "a Llama of 2 layers in float32, two processes, ZeRO-3",
        "settings": given,
        "seconds": {
            "worker killed -> first new step": spread(each("seconds")),
            "worker killed -> both pods of the next attempt run": spread(each("untilPods")),
            "both pods run -> first new step": spread(each("startAndLoad")),
        },
        "lostSteps": {
            "median": statistics.median(each("lostSteps")),
            "most": max(each("lostSteps")),
        },
        "checkpointEverySteps": EVERY_STEPS,
        "limits": {"worker killed -> first new step": 45, "lostSteps": EVERY_STEPS},
    }
