"""What an operator at rest costs: 100 finished and 10 working runs that do not change.

No kubelet: kwok plays the nodes. It completes the pods of Jobs and lets those of trainings run;
this program ends the trainings that shall be finished. Writes are counted by the API server's own
audit log, under the operator's account, and by the operator's metric.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import fakes
from measuring import (
    Connection,
    Cost,
    Object,
    a_cluster,
    a_run,
    an_operator,
    runs_path,
    say,
    settings,
    wait_until,
    write,
)

from cluster import control_plane, outside, training_operator
from cluster.boxes import PATIENCE, await_true
from cluster.clusters import Cluster, Shape
from cluster.outside import Outside

NAMESPACE = "idle"
DONE, BUSY = 100, 10
ACCOUNT = f"system:serviceaccount:{outside.NAMESPACE}:{outside.ACCOUNT}"
WRITES = ("create", "update", "patch", "delete", "deletecollection")
# Only what the operator writes is put down: the log itself must cost nothing.
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "users": [ACCOUNT], "verbs": [*WRITES]},
        {"level": "None"},
    ],
}


def measure(arguments: argparse.Namespace) -> None:
    done, busy = arguments.number or DONE, min(arguments.number or DONE, BUSY)
    with a_cluster("idle", Shape(nodes=0, kwok=True)) as cluster:
        log = audited(cluster)
        fakes.add_nodes(cluster, 2)
        fakes.add_namespace(cluster, NAMESPACE)
        names = [f"done-{n}" for n in range(done)] + [f"busy-{n}" for n in range(busy)]
        fakes.add_volumes(cluster, NAMESPACE, names)
        with an_operator(cluster) as operator:
            runs = [(runs_path(NAMESPACE), a_run(NAMESPACE, name)) for name in names]
            fakes.create_all(cluster, runs)
            settled(cluster, done, busy)
            operator.wait_idle(15, 120)
            say("at rest")
            found = window(operator, log, arguments.seconds)
    runs = {"finished": done, "training": busy}
    about = {"cluster": str(cluster.shape), "settings": settings(), "runs": runs}
    write("idle", {**about, **found})


def audited(cluster: Cluster) -> Path:
    """Start the API server again, with an audit log of what the operator writes."""
    policy, log = cluster.place.secrets / "audit.json", cluster.place.logs / "audit.log"
    policy.write_text(json.dumps(POLICY))
    name = "kube-apiserver"
    cluster.box.signal(name, signal.SIGKILL)
    await_true("its end", PATIENCE, lambda: cluster.box.programs()[name]["exit"] is not None)
    flags = {"audit-policy-file": policy, "audit-log-path": log, "audit-log-mode": "blocking"}
    argv = control_plane.api_server(cluster.programs, cluster.place.secrets)
    cluster.box.start(name, [*argv, *control_plane.argv("", flags)[1:]])
    await_true("The API server's answer", PATIENCE, cluster.api.answers)
    training_operator.await_ready(cluster.api)
    return log


def settled(cluster: Cluster, done: int, busy: int) -> None:
    """End the trainings of the runs that shall be done, and wait for the others to train."""
    connection, ended = Connection(cluster.api), set[str]()

    def is_settled() -> bool:
        for pod in connection.send("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]:
            end_training(connection, pod, ended)
        phases = Counter[str]()
        for run in connection.send("GET", runs_path(NAMESPACE))["items"]:
            phases[f"{run['metadata']['name'].partition('-')[0]} {stage_of(run)}"] += 1
        say(f"{dict(phases)}")
        return phases["done over"] == done and phases["busy train"] == busy

    wait_until(f"{done} finished and {busy} training runs", is_settled, 1200, 4)


def stage_of(run: Object) -> str:
    """The stage that works, `over` for a run that has succeeded."""
    status = run.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    if conditions.get("Succeeded") == "True":
        return "over"
    working = [one["name"] for one in status.get("stages", ()) if one["state"].lower() == "running"]
    return working[0] if working else "between"


def end_training(connection: Connection, pod: Object, ended: set[str]) -> None:
    """Be the kubelet that says that the process of a training has ended well."""
    metadata, labels = pod["metadata"], pod["metadata"]["labels"]
    trains = "training.kubeflow.org/job-name" in labels
    wanted = trains and metadata["name"].startswith("done-") and metadata["name"] not in ended
    if not wanted or pod.get("status", {}).get("phase") != "Running":
        return
    ended.add(metadata["name"])
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    over = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
    states = [
        {**one, "ready": False, "state": {"terminated": over}}
        for one in pod["status"]["containerStatuses"]
    ]
    body = {"status": {"phase": "Succeeded", "containerStatuses": states}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{metadata['name']}/status"
    connection.send("PATCH", path, body, "application/strategic-merge-patch+json")


def window(operator: Outside, log: Path, seconds: float) -> Object:
    """Look away for some minutes, and see what happened meanwhile."""
    cost = Cost(operator)
    before = observed(operator, cost, log)
    time.sleep(seconds)
    after = observed(operator, cost, log)
    change = {name: after[name] - before[name] for name in before}
    minutes = change["at"] / 60
    return {
        "windowSeconds": round(change["at"], 1),
        "writesAMinute": {
            "audit, without the Lease": round(change["audited"] / minutes, 2),
            "audit, renewals of the Lease": round(change["leases"] / minutes, 2),
            "operator's own metric": round(change["written"] / minutes, 2),
        },
        "requestsAMinute": round(change["requests"] / minutes, 1),
        "passesAMinute": round(change["passes"] / minutes, 1),
        "cpuPercentOfACore": round(100 * change["cpu"] / change["at"], 2),
        "megabytes": {"rss": round(cost.megabytes, 1), "peak": round(cost.peak_megabytes, 1)},
        "limits": {"writesAMinute": 0, "cpuPercentOfACore": 2, "rss": 150},
    }


def observed(operator: Outside, cost: Cost, log: Path) -> dict[str, float]:
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    leases = sum(one["objectRef"]["resource"] == "leases" for one in lines)
    return {
        "at": time.monotonic(),
        "cpu": cost.cpu_seconds,
        "audited": len(lines) - leases,
        "leases": leases,
        "written": operator.metric("uncensor_api_writes_total"),
        "requests": operator.metric("uncensor_api_request_seconds_count"),
        "passes": operator.metric("uncensor_reconcile_seconds_count"),
    }
