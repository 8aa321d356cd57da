"""`uncensor logs`: what the pods of a stage write, with progress made readable."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from uncensor_operator.cli.cluster.connection import Connection, connect
from uncensor_operator.cli.cluster.lines import readable
from uncensor_operator.cli.cluster.options import ClusterOptions
from uncensor_operator.cli.cluster.pods import Pod, find_pods, newest_attempt
from uncensor_operator.cli.cluster.runs import Run, find
from uncensor_operator.errors import ClusterError, UncensorError

# A silent stream is asked for again after this; a broken connection is noticed so, too.
_IDLE_SECONDS = 60.0
_LOOK_SECONDS = 2.0
_ENDED = ("Succeeded", "Skipped", "Failed", "Stopped")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines, and how."""

    run: str
    stage: str | None
    attempt: int | None
    tail: int | None
    raw: bool


def logs(
    name: str,
    options: ClusterOptions,
    *,
    stage: str | None,
    attempt: int | None,
    follow: bool,
    tail: int | None,
    raw: bool,
) -> int:
    """Print the log of a stage's newest attempt, or of the one named; return the exit code.

    Raises:
        UncensorError: no such run, stage or pod, or no right to read logs.
    """
    connection = connect(options)
    run = find(connection, name)
    _check_stage(run, stage)
    wanted = Wanted(name, stage, attempt, tail, raw)
    if follow:
        return _follow(connection, wanted)
    pods = _chosen(connection, wanted)
    if not pods:
        raise UncensorError(_nothing(run, wanted))
    several = len(pods) > 1
    for pod in pods:
        if not pod.has_begun:
            _say(f"{pod.name} has not begun: {pod.why_waiting}")
            continue
        for _, line in _lines(connection, pod, tail=tail):
            _print(line, pod, wanted, several=several)
    return 0


def _check_stage(run: Run, stage: str | None) -> None:
    known = [str(one.get("name")) for one in run.stages]
    if stage is not None and known and stage not in known:
        raise UncensorError(f"{run.name} has no stage {stage}; its stages: {', '.join(known)}.")


def _chosen(connection: Connection, wanted: Wanted) -> list[Pod]:
    return newest_attempt(find_pods(connection, wanted.run, wanted.stage, wanted.attempt))


def _nothing(run: Run, wanted: Wanted) -> str:
    what = f"stage {wanted.stage}" if wanted.stage else "any stage"
    if wanted.attempt is not None:
        what = f"attempt {wanted.attempt} of {what}"
    words = f"There is no pod of {what} of {run.name} in namespace {run.namespace}"
    if run.stages:
        tried = ", ".join(
            f"{one.get('name')} {one.get('state')} after {one.get('attempts', 0)}"
            for one in run.stages
        )
        words += f" (stages and attempts: {tried})"
    return (
        f"{words}. Either it has not begun, or its pods are removed already; -f waits for the next."
    )


def _follow(connection: Connection, wanted: Wanted) -> int:
    """Follow every pod as it comes, until the stage, or the run, has ended."""
    lines: queue.Queue[tuple[Pod, str]] = queue.Queue()
    threads: dict[str, threading.Thread] = {}
    refused: list[ClusterError] = []
    told: set[str] = set()
    try:
        while True:
            # Asked before the pods are: what ends in between is still followed to its last line.
            run = find(connection, wanted.run)
            for pod in _chosen(connection, wanted):
                if pod.has_begun and pod.uid not in threads:
                    threads[pod.uid] = _start(connection, pod, wanted, lines, refused)
                elif not pod.has_begun and pod.uid not in told:
                    told.add(pod.uid)
                    _say(f"{pod.name} has not begun: {pod.why_waiting}")
            # One pod needs no prefix; once there are several, each line says whose it is.
            _drain(lines, wanted, several=len(threads) > 1, seconds=_LOOK_SECONDS)
            if refused:
                raise refused[0]
            if _is_over(run, wanted) and not any(one.is_alive() for one in threads.values()):
                _drain(lines, wanted, several=len(threads) > 1, seconds=0)
                return 0
    except KeyboardInterrupt:
        # The usual end of following.
        return 0


def _is_over(run: Run, wanted: Wanted) -> bool:
    if wanted.stage is None:
        return run.is_finished or run.state == "Suspended"
    states = {str(one.get("name")): one for one in run.stages}
    stage = states.get(wanted.stage, {})
    past = wanted.attempt is not None and wanted.attempt < stage.get("attempts", 0)
    return past or stage.get("state") in _ENDED or run.is_finished


def _start(
    connection: Connection,
    pod: Pod,
    wanted: Wanted,
    lines: queue.Queue[tuple[Pod, str]],
    refused: list[ClusterError],
) -> threading.Thread:
    def pump() -> None:
        try:
            for line in _followed(connection, pod, wanted.tail):
                lines.put((pod, line))
        except ClusterError as error:
            refused.append(error)

    thread = threading.Thread(target=pump, daemon=True, name=pod.name)
    thread.start()
    return thread


def _followed(connection: Connection, pod: Pod, tail: int | None) -> Iterator[str]:
    """Yield a pod's lines to the last, through silences and broken connections, each once."""
    last = ""
    while True:
        try:
            for stamp, line in _lines(connection, pod, tail=tail, follow=True, since=last):
                # The server counts in whole seconds, so some lines come a second time.
                if stamp > last:
                    last = stamp
                    yield line
        except TimeoutError:
            tail = None
        else:
            return


def _lines(
    connection: Connection, pod: Pod, *, tail: int | None, follow: bool = False, since: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield (timestamp with nanoseconds, line)."""
    query: dict[str, object] = {"container": pod.container, "timestamps": "true"}
    if follow:
        query["follow"] = "true"
    if tail is not None:
        query["tailLines"] = tail
    if since:
        query["sinceTime"] = since
    path = f"/api/v1/namespaces/{connection.namespace}/pods/{pod.name}/log"
    for line in connection.lines(path, idle_seconds=_IDLE_SECONDS, **query):
        stamp, _, text = line.partition(" ")
        yield stamp, text


def _drain(
    lines: queue.Queue[tuple[Pod, str]], wanted: Wanted, *, several: bool, seconds: float
) -> None:
    """Print what comes within a time; at least everything that is there already."""
    end = time.monotonic() + seconds
    while True:
        try:
            left = end - time.monotonic()
            pod, line = lines.get(timeout=left) if left > 0 else lines.get_nowait()
        except queue.Empty:
            return
        _print(line, pod, wanted, several=several)


def _print(line: str, pod: Pod, wanted: Wanted, *, several: bool) -> None:
    text = line if wanted.raw else readable(line)
    prefix = f"{pod.name} | " if several else ""
    print(prefix + text, flush=True)  # noqa: T201


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
