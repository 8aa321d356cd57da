"""What all figures share: a cluster, the operator on it, watches with a clock, the record."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import platform
import shutil
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from cluster import lifecycle, outside, stunts
from cluster.api import Api
from cluster.clusters import Cluster, Shape
from cluster.outside import Outside

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
RUN_API = "uncensor.dev/v1alpha1"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
Object = dict[str, Any]
Take = Callable[[float, str, Object], None]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def a_cluster(what: str, shape: Shape) -> Iterator[Cluster]:
    """A cluster that ends with this program, with our kind and the operator's account."""
    cluster = lifecycle.up(f"bench-{what}-{os.getpid() % 10000}"[:16], shape, say)
    try:
        outside.install(cluster)
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(cluster.place.folder, ignore_errors=True)


@contextlib.contextmanager
def an_operator(cluster: Cluster, given: Object | None = None) -> Iterator[Outside]:
    """The operator as a process, with the chart's rights and defaults; else `given` settings."""
    with tempfile.TemporaryDirectory(prefix="bench-operator-") as folder:
        operator = Outside(cluster, Path(folder), given or settings())
        try:
            yield operator.start()
        finally:
            operator.stop()


def settings() -> Object:
    """The chart's defaults for everything but the size of pods: the node is this machine."""
    small = {"cpus": 0.01, "memory": "64Mi"}
    stages = ("fetch", "filter", "prepare", "probe", "evaluate", "report")
    return {
        "trainerImage": {"reference": stunts.STUNT, "pullPolicy": "Never"},
        "pools": [{"name": "cpu", "profile": "cpu", "sharedMemory": "16Mi", **small}],
        "stages": {name: small for name in stages},
    }


def a_run(namespace: str, name: str, nodes: int = 1) -> Object:
    return {
        "apiVersion": RUN_API,
        "kind": "UncensorTraining",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"path": "models/tiny"},
            "datasets": [{"name": "rows", "path": "rows.jsonl"}],
            "compute": {"pool": "cpu", "nodes": nodes, "gpusPerNode": 0},
            "runPolicy": {"terminationGracePeriodSeconds": 30},
        },
    }


def runs_path(namespace: str) -> str:
    return f"/apis/{RUN_API}/namespaces/{namespace}/uncensortrainings"


class Connection:
    """One kept connection: a client that costs this machine as little as it can."""

    def __init__(self, api: Api) -> None:
        self._token = api.token
        self._http = connection_to(api)

    def send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        text = None if body is None else json.dumps(body)
        self._http.request(method, path, text, headers)
        answer = self._http.getresponse()
        raw = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {raw[:300]!r}")
        return json.loads(raw)


def connection_to(api: Api, timeout: float = 120) -> http.client.HTTPSConnection:
    where = urlsplit(api.server)
    tls: ssl.SSLContext = api.tls
    return http.client.HTTPSConnection(where.netloc, context=tls, timeout=timeout)


class Watch:
    """A watch of this program's own; each event is stamped by the monotonic clock on arrival."""

    def __init__(self, api: Api, path: str, take: Take, *, metadata_only: bool = False) -> None:
        self._api, self._path, self._take = api, path, take
        self._accept = METADATA if metadata_only else "application/json"
        self._version = str(api.get(f"{path}?limit=1")["metadata"]["resourceVersion"])
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        headers = {"Authorization": f"Bearer {self._api.token}", "Accept": self._accept}
        while True:
            connection = connection_to(self._api, 3600)
            path = f"{self._path}?watch=1&allowWatchBookmarks=true&resourceVersion={self._version}"
            try:
                connection.request("GET", path, headers=headers)
                self._read(connection.getresponse())
            except OSError:
                time.sleep(0.2)

    def _read(self, answer: http.client.HTTPResponse) -> None:
        while line := answer.readline():
            moment = time.monotonic()
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise RuntimeError(f"The watch of {self._path} broke: {event['object']}")
            self._version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self._take(moment, event["type"], event["object"])


def wait_until(what: str, check: Callable[[], bool], seconds: float, pause: float = 0.05) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come within {seconds:.0f} s.")
        time.sleep(pause)


class Cost:
    """CPU seconds and memory of the operator's process."""

    def __init__(self, operator: Outside) -> None:
        if operator.process is None:
            raise SystemExit("The operator does not run.")
        self._process = psutil.Process(operator.process.pid)
        self.pid = operator.process.pid

    @property
    def cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @property
    def megabytes(self) -> float:
        return float(self._process.memory_info().rss) / 1e6

    @property
    def peak_megabytes(self) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(one.split()[1]) for one in lines if one.startswith("VmHWM")) * 1024 / 1e6


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and tails, in seconds."""
    ordered = sorted(values)
    return {
        "samples": len(ordered),
        "median": round(statistics.median(ordered), 3),
        "p90": round(ordered[math.ceil(0.9 * len(ordered)) - 1], 3),
        "max": round(ordered[-1], 3),
    }


def write(what: str, measured: Mapping[str, Any]) -> None:
    """Write the figures with what they were measured on, and show them."""
    words = " ".join(word for word in sys.argv[1:])
    load = tuple(round(one, 1) for one in os.getloadavg())
    record = {
        "command": f"python benchmarks/operator/run.py {words}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "loadAverage": load,
        **measured,
    }
    text = json.dumps(record, indent=1)
    (RESULTS / f"operator-{what}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
