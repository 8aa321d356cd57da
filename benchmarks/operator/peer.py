"""1,000 PyTorchJobs of two replicas, handled by the Kubeflow training-operator on its own.

The same control plane and kwok as in `scale`; the training-operator with its default limits (one
worker, 20 requests a second) or with raised ones.
"""

from __future__ import annotations

import argparse
import signal
import time

import fakes
from measuring import Object, Watch, a_cluster, say, wait_until, write

from cluster import stunts, training_operator
from cluster.boxes import PATIENCE, await_true
from cluster.clusters import Cluster, Shape

NAMESPACE = "peer"
RAISED = {"controller-threads": 8, "kube-api-qps": 500, "kube-api-burst": 1000}
PATH = f"/apis/kubeflow.org/v1/namespaces/{NAMESPACE}/pytorchjobs"


def measure(arguments: argparse.Namespace) -> None:
    number = arguments.number or 1000
    flags = RAISED if arguments.limits == "raised" else {}
    with a_cluster("peer", Shape(nodes=0, kwok=True)) as cluster:
        if flags:
            restart(cluster, flags)
        fakes.add_nodes(cluster, 10)
        fakes.add_namespace(cluster, NAMESPACE)
        found = created_at_once(cluster, number)
    write(f"peer-{arguments.limits}", {"cluster": str(cluster.shape), "flags": flags, **found})


def restart(cluster: Cluster, flags: dict[str, int]) -> None:
    name = training_operator.NAME
    argv = cluster.box.programs()[name]["argv"]
    cluster.box.signal(name, signal.SIGKILL)
    await_true("its end", PATIENCE, lambda: cluster.box.programs()[name]["exit"] is not None)
    more = [f"--{key}={value}" for key, value in flags.items()]
    environment = {"MY_POD_NAMESPACE": training_operator.NAMESPACE, "TMPDIR": "/tmp"}  # noqa: S108
    cluster.box.start(name, [*argv, *more], environment)
    training_operator.await_ready(cluster.api)


def created_at_once(cluster: Cluster, number: int) -> Object:
    pods: dict[str, float] = {}
    jobs: dict[str, float] = {}

    def pod(moment: float, _event: str, raw: Object) -> None:
        pods.setdefault(raw["metadata"]["name"], moment)
        jobs.setdefault(raw["metadata"]["labels"]["training.kubeflow.org/job-name"], moment)

    Watch(cluster.api, f"/api/v1/namespaces/{NAMESPACE}/pods", pod, metadata_only=True)
    began = time.monotonic()
    fakes.create_all(cluster, [(PATH, a_job(f"job-{n}")) for n in range(number)])
    created = time.monotonic() - began
    say(f"created after {created:.1f} s")
    wait_until("every pod", lambda: len(pods) >= 2 * number, 1200, 0.5)
    whole = max(pods.values()) - began
    return {
        "jobs": number,
        "seconds": {
            "first create -> all created": round(created, 1),
            "first create -> all have their first pod": round(max(jobs.values()) - began, 1),
            "first create -> all pods created": round(whole, 1),
        },
        "podsASecond": round(2 * number / whole, 1),
    }


def a_job(name: str) -> Object:
    container = {"name": "pytorch", "image": stunts.STUNT, "command": ["torchrun", "train"]}
    container["resources"] = {"requests": {"cpu": "10m", "memory": "64Mi"}}
    replica = {"replicas": 1, "restartPolicy": "Never"}
    replica["template"] = {"spec": {"containers": [container]}}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "runPolicy": {"cleanPodPolicy": "Running"},
            "pytorchReplicaSpecs": {"Master": replica, "Worker": replica},
        },
    }
