"""`uncensor top`: all runs in one table that renews itself."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.live import Live
from rich.text import Text

from uncensor_operator.cli import words
from uncensor_operator.cli.cluster import figures
from uncensor_operator.cli.cluster.columns import columns
from uncensor_operator.cli.cluster.connection import Connection, connect
from uncensor_operator.cli.cluster.options import ClusterOptions
from uncensor_operator.cli.cluster.runs import Run, find_all
from uncensor_operator.errors import ClusterError

_HEADS = (
    "NAME",
    "STATE",
    "STAGE",
    "PROGRESS",
    "LOSS",
    "TOKENS/S",
    "ETA",
    "POOL",
    "RESTARTS",
    "AGE",
)
_STYLES = {"Stalled": "bold red", "Succeeded": "green", "Running": "cyan", "Suspended": "yellow"}


def top(options: ClusterOptions, *, once: bool, seconds: float, as_json: bool) -> int:
    """Show the table until Ctrl-C, or once, and return the exit code.

    Without a terminal each renewal is printed below the last one. An error after the first table
    is shown and tried again: a server that is upgraded comes back.

    Raises:
        UncensorError: the first request fails.
    """
    connection = connect(options)
    runs = find_all(connection)
    try:
        if as_json:
            _print_json(runs)
        elif once:
            print("\n".join(_table(connection, runs)))  # noqa: T201
        elif sys.stdout.isatty():
            _live(connection, runs, seconds)
        else:
            _scroll(connection, runs, seconds)
    except KeyboardInterrupt:
        # The usual end of a table that renews itself.
        return 0
    return 0


def _live(connection: Connection, runs: list[Run], seconds: float) -> None:
    with Live(_coloured(_table(connection, runs)), auto_refresh=False) as live:
        while True:
            time.sleep(seconds)
            live.update(_coloured(_renewed(connection)), refresh=True)


def _scroll(connection: Connection, runs: list[Run], seconds: float) -> None:
    print("\n".join(_table(connection, runs)), flush=True)  # noqa: T201
    while True:
        time.sleep(seconds)
        print("\n" + "\n".join(_renewed(connection)), flush=True)  # noqa: T201


def _renewed(connection: Connection) -> list[str]:
    try:
        return _table(connection, find_all(connection))
    except ClusterError as error:
        return [f"{error} Trying again."]


def _table(connection: Connection, runs: Sequence[Run]) -> list[str]:
    everywhere = connection.options.all_namespaces
    space = "all namespaces" if everywhere else f"namespace {connection.namespace}"
    clock = datetime.now().astimezone().strftime("%H:%M:%S")
    title = f"{clock}  {len(runs)} runs, {space}, {connection.where}"
    if not runs:
        return [title]
    rows = [[*([run.namespace] if everywhere else []), *_row(run)] for run in runs]
    return [title, *columns((*(("NAMESPACE",) if everywhere else ()), *_HEADS), rows)]


def _row(run: Run) -> list[str]:
    age = run.age_seconds(datetime.now(UTC))
    return [
        run.name,
        run.state,
        str(run.status.get("phase") or figures.NOTHING),
        figures.progress(run),
        figures.loss(run),
        figures.tokens_per_second(run),
        figures.eta(run.stage),
        figures.pool(run),
        figures.restarts(run),
        words.duration(age) if age is not None else figures.NOTHING,
    ]


def _coloured(lines: Sequence[str]) -> Text:
    from rich.text import Text  # noqa: PLC0415 - see _live

    text = Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
    for state, style in _STYLES.items():
        text.highlight_words([state], style)
    return text


def _print_json(runs: Sequence[Run]) -> None:
    rows = [
        {
            "name": run.name,
            "namespace": run.namespace,
            "state": run.state,
            "stage": run.stage.get("name"),
            "progress": run.stage.get("progress"),
            "training": run.status.get("training"),
            "pool": (run.spec.get("compute") or {}).get("pool"),
            "restarts": run.status.get("restarts"),
        }
        for run in runs
    ]
    print(json.dumps(rows, indent=1, ensure_ascii=False))  # noqa: T201
