"""`uncensor status` on a cluster: all runs in a table, or one run with everything that matters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from uncensor_operator.cli import words
from uncensor_operator.cli.cluster import figures
from uncensor_operator.cli.cluster.columns import columns, one_line
from uncensor_operator.cli.cluster.connection import Connection, connect
from uncensor_operator.cli.cluster.options import ClusterOptions, program
from uncensor_operator.cli.cluster.runs import Run, find, find_all, parsed, seconds_between
from uncensor_operator.errors import UncensorError
from uncensor_operator.names import ConditionType


def status(name: str | None, options: ClusterOptions, *, as_json: bool) -> int:
    """Print how runs of a cluster stand and return the exit code.

    Raises:
        UncensorError: no cluster, no such run, or no right to see it.
    """
    connection = connect(options)
    if name is None:
        return _list(connection, as_json=as_json)
    if options.all_namespaces:
        raise UncensorError(
            f"-A is about the runs of every namespace, but {name} is one run: give its namespace "
            "with -n instead."
        )
    run = find(connection, name)
    if as_json:
        print(json.dumps(run.manifest, indent=1, ensure_ascii=False))  # noqa: T201
    else:
        print("\n".join(_story(run, options)))  # noqa: T201
    return 0


def _list(connection: Connection, *, as_json: bool) -> int:
    runs = find_all(connection)
    if as_json:
        print(json.dumps([run.manifest for run in runs], indent=1, ensure_ascii=False))  # noqa: T201
        return 0
    everywhere = connection.options.all_namespaces
    if not runs:
        space = "any namespace" if everywhere else f"namespace {connection.namespace}"
        print(f"No runs in {space} of {connection.where}.")  # noqa: T201
        return 0
    heads = ["NAME", "STATE", "STAGE", "PROGRESS", "AGE", "MESSAGE"]
    rows = [_row(run) for run in runs]
    if everywhere:
        heads = ["NAMESPACE", *heads]
        rows = [[run.namespace, *row] for run, row in zip(runs, rows, strict=True)]
    print("\n".join(columns(heads, rows)))  # noqa: T201
    return 0


def _row(run: Run) -> list[str]:
    age = run.age_seconds(datetime.now(UTC))
    return [
        run.name,
        run.state,
        str(run.status.get("phase") or figures.NOTHING),
        figures.progress(run),
        words.duration(age) if age is not None else figures.NOTHING,
        one_line(run.message),
    ]


def _story(run: Run, options: ClusterOptions) -> Iterator[str]:
    yield f"{run.name}  {run.state}  (namespace {run.namespace})"
    if run.message:
        yield f"  {run.message}"
    if not run.is_seen:
        yield "  No operator has seen this run yet: `doctor` says whether one works here."
    elif not run.is_current:
        yield "  The last change of the spec is not seen yet; what follows is about the one before."
    yield ""
    yield from _stages(run)
    yield from _facts(run)
    yield from _next(run, options)


def _stages(run: Run) -> Iterator[str]:
    if not run.stages:
        return
    heads = ["STAGE", "STATE", "ATTEMPTS", "TOOK", "PROGRESS", "ETA", "MESSAGE"]
    lines = columns(heads, [_stage_row(stage) for stage in run.stages])
    yield from (f"  {line}" for line in lines)
    yield ""


def _stage_row(stage: Mapping[str, Any]) -> list[str]:
    end = parsed(stage.get("finishedAt")) or datetime.now(UTC)
    took = seconds_between(stage.get("startedAt"), end)
    return [
        str(stage.get("name")),
        str(stage.get("state")),
        str(stage.get("attempts", 0)),
        words.duration(took) if took is not None else figures.NOTHING,
        figures.stage_progress(stage) or figures.NOTHING,
        figures.eta(stage),
        one_line(str(stage.get("message") or "")),
    ]


def _facts(run: Run) -> Iterator[str]:
    training, filtered = run.status.get("training") or {}, run.status.get("filter") or {}
    if filtered:
        yield f"  filter     {filtered.get('kept')} of {filtered.get('rows')} rows kept"
    if training.get("loss") is not None:
        speed = figures.tokens_per_second(run)
        yield f"  training   loss {figures.loss(run)}, {speed} tokens/s"
    if saved := training.get("lastCheckpoint"):
        yield f"  saved      step {saved.get('step')} at {saved.get('time')}"
    workspace = run.status.get("workspace") or {}
    if workspace.get("claim"):
        yield f"  workspace  claim {workspace['claim']}, folder {workspace.get('folder') or '.'}"
    yield f"  pool       {figures.pool(run)}"
    yield f"  restarts   {figures.restarts(run)}"


def _next(run: Run, options: ClusterOptions) -> Iterator[str]:
    """What a person may want to do now, as commands."""
    given = options.as_words()
    proposals = {
        "Stalled": (("logs", "what the last attempt said"), ("retry", "once the cause is away")),
        "Succeeded": (("report", "the comparison"),),
        "Suspended": (("resume", "goes on from the last checkpoint"),),
    }.get(run.state, (("logs -f", "what it does"),))
    if run.is_true(ConditionType.SUCCEEDED):
        proposals = (("report", "the comparison"),)
    yield ""
    for command, why in proposals:
        verb, _, flag = command.partition(" ")
        words_ = f"{program()} {verb} {run.name}{given}{' ' + flag if flag else ''}"
        yield f"  {words_}   # {why}"
