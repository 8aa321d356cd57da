"""1,000 runs at once, and a restart with all of them there. Control plane and kwok, no kubelet.

kwok's pods run for ever, so every run stays in its first stage: what is measured is the storm of
creations, and then an operator that has 1,000 working runs.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fakes
from measuring import (
    Connection,
    Cost,
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

from cluster.clusters import Cluster, Shape
from cluster.outside import Outside

NAMESPACE = "scale"
CREATORS = 4


def measure(arguments: argparse.Namespace) -> None:
    number = arguments.number or 1000
    with a_cluster("scale", Shape(nodes=0, kwok=True)) as cluster:
        fakes.never_complete(cluster)
        fakes.add_nodes(cluster, 10)
        fakes.add_namespace(cluster, NAMESPACE)
        names = [f"run-{n}" for n in range(number)]
        fakes.add_volumes(cluster, NAMESPACE, names)
        say("prepared")
        with an_operator(cluster) as operator:
            operator.wait_idle(2)
            storm = created_at_once(cluster, operator, names)
            restart = restarted(operator, number)
    write("scale", {"cluster": str(cluster.shape), "settings": settings(), **storm, **restart})


def created_at_once(cluster: Cluster, operator: Outside, names: list[str]) -> Object:
    answered: dict[str, float] = {}
    children: dict[str, float] = {}
    pods: dict[str, float] = {}

    def child(moment: float, _event: str, raw: Object) -> None:
        children.setdefault(raw["metadata"]["labels"]["uncensor.dev/run"], moment)

    def pod(moment: float, _event: str, raw: Object) -> None:
        pods.setdefault(raw["metadata"]["name"], moment)

    Watch(cluster.api, f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", child, metadata_only=True)
    Watch(cluster.api, f"/api/v1/namespaces/{NAMESPACE}/pods", pod, metadata_only=True)
    cost = Cost(operator)
    cpu, began = cost.cpu_seconds, time.monotonic()
    create(cluster, names, answered)
    say(f"created after {time.monotonic() - began:.1f} s")
    wait_until("every first child", lambda: len(children) == len(names), 300)
    say(f"first children after {max(children.values()) - began:.1f} s")
    at_first = cost.cpu_seconds - cpu
    wait_until("every first pod", lambda: len(pods) == len(names), 300)
    wait_until("every run at work", lambda: at_work(cluster) == len(names), 600, 5)
    operator.wait_idle(5, 300)
    return {
        "runs": len(names),
        "seconds": {
            "first create -> all created": round(max(answered.values()) - began, 1),
            "first create -> all have their first child": round(max(children.values()) - began, 1),
            "first create -> all have their first pod": round(max(pods.values()) - began, 1),
            "one run: create answered -> its first child": spread(
                [children[name] - answered[name] for name in names]
            ),
        },
        "operatorCpuSecondsUntilFirstChildren": round(at_first, 1),
        "passes": operator.metric("uncensor_reconcile_seconds_count"),
        "requests": operator.metric("uncensor_api_request_seconds_count"),
        "meanRequestMilliseconds": mean_request(operator),
        "megabytes": {"rss": round(cost.megabytes, 1), "peak": round(cost.peak_megabytes, 1)},
        "limits": {"all have their first child": 60, "peak": 250, "idle again": 15},
    }


def at_work(cluster: Cluster) -> int:
    """Runs of which the status says that their stage runs: the storm is over once all do."""
    runs = cluster.api.items(runs_path(NAMESPACE))
    stages = [stage for raw in runs for stage in raw.get("status", {}).get("stages", ())]
    return sum(stage["state"] == "Running" for stage in stages)


def mean_request(operator: Outside) -> float:
    name = "uncensor_api_request_seconds"
    return round(1000 * operator.metric(f"{name}_sum") / operator.metric(f"{name}_count"), 1)


def create(cluster: Cluster, names: list[str], answered: dict[str, float]) -> None:
    def share(number: int) -> None:
        connection = Connection(cluster.api)
        for name in names[number::CREATORS]:
            connection.send("POST", runs_path(NAMESPACE), a_run(NAMESPACE, name))
            answered[name] = time.monotonic()

    with ThreadPoolExecutor(CREATORS) as pool:
        list(pool.map(share, range(CREATORS)))


def restarted(operator: Outside, number: int) -> Object:
    """Stop it and start it: when was every run looked at, and when did it stop to work?

    Stopped by SIGTERM, as a rollout does, it gives its Lease up. After a SIGKILL the next one has
    to wait until the Lease runs out first, 15 s by default.
    """
    operator.kill(signal.SIGTERM)
    began = time.monotonic()
    operator.start()
    ready = time.monotonic() - began
    cost, samples = Cost(operator), list[tuple[float, float, float, float]]()
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.5):
            passes = operator.metric("uncensor_reconcile_seconds_count")
            writes = operator.metric("uncensor_api_writes_total")
            samples.append((time.monotonic() - began, cost.cpu_seconds, passes, writes))

    thread = threading.Thread(target=sample)
    thread.start()
    time.sleep(75)
    over.set()
    thread.join()
    return {"restart": came_to_rest(samples, number, ready) | {"rss": round(cost.megabytes, 1)}}


def came_to_rest(
    samples: list[tuple[float, float, float, float]], number: int, ready: float
) -> Object:
    """When every run had its pass, and when the last pass of the first rush was over."""
    looked = next((at for at, _, passes, _ in samples if passes >= number), None)
    idle = None
    # At rest: over the next five seconds it uses less than a fifth of a core and has no pass.
    for index, (at, cpu, passes, _) in enumerate(samples):
        later = next((one for one in samples[index:] if one[0] >= at + 5), None)
        if later and passes >= number and later[2] == passes and later[1] - cpu < 1:
            idle = at
            break
    tail = [one for one in samples if one[0] >= samples[-1][0] - 30]
    return {
        "seconds": {
            "process started -> ready": round(ready, 1),
            "process started -> every run looked at": looked and round(looked, 1),
            "process started -> idle": idle and round(idle, 1),
        },
        "writes": samples[-1][3] - samples[0][3],
        "afterwardsCpuPercentOfACore": round(
            100 * (tail[-1][1] - tail[0][1]) / (tail[-1][0] - tail[0][0]), 1
        ),
        "afterwardsPassesASecond": round(
            (tail[-1][2] - tail[0][2]) / (tail[-1][0] - tail[0][0]), 1
        ),
    }
