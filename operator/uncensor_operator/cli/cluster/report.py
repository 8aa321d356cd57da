"""`uncensor report` on a cluster: the comparison from the status, and the way to its page."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Iterator
from pathlib import Path

from uncensor_operator.cli.cluster import download as downloading
from uncensor_operator.cli.cluster import figures
from uncensor_operator.cli.cluster.columns import columns
from uncensor_operator.cli.cluster.connection import Connection, connect
from uncensor_operator.cli.cluster.options import ClusterOptions, program
from uncensor_operator.cli.cluster.runs import Run, find, find_all
from uncensor_operator.errors import UncensorError
from uncensor_operator.names import ConditionType, StageName, StageState


def report(
    name: str | None,
    options: ClusterOptions,
    *,
    download: Path | None,
    open_it: bool = False,
    as_json: bool,
) -> int:
    """Print the results of one run, or of all that have some; return the exit code.

    Raises:
        UncensorError: no such run, no results yet, or the page could not be fetched.
    """
    connection = connect(options)
    if name is None:
        if download is not None:
            raise UncensorError("--download needs the name of one run.")
        return _all(connection, as_json=as_json)
    run = find(connection, name)
    if not run.status.get("results") and not _has_page(run):
        raise UncensorError(
            f"{name} has no results yet ({run.state}, stage {run.stage.get('name') or 'none'}); "
            f"`{program()} status {name}{options.as_words()}` says how far it is."
        )
    if download is not None:
        size = downloading.download(connection, run, download)
        if open_it:
            webbrowser.open(download.absolute().as_uri())
        print(f"{download}: {size} bytes, digest verified")  # noqa: T201
        return 0
    if open_it:
        raise UncensorError(
            "The page lies on a volume of the cluster: --open needs --download FILE, too."
        )
    if as_json:
        print(json.dumps(_as_json(run), indent=1, ensure_ascii=False))  # noqa: T201
    else:
        print("\n".join(_told(run, options)))  # noqa: T201
    return 0


def _all(connection: Connection, *, as_json: bool) -> int:
    runs = [run for run in find_all(connection) if run.status.get("results")]
    if as_json:
        print(json.dumps([_as_json(run) for run in runs], indent=1, ensure_ascii=False))  # noqa: T201
        return 0
    if not runs:
        space = (
            "any namespace"
            if connection.options.all_namespaces
            else f"namespace {connection.namespace}"
        )
        raise UncensorError(f"No run in {space} of {connection.where} has results yet.")
    rows = [
        [run.namespace, run.name, *_refusals(run), "yes" if _has_page(run) else "no"]
        for run in runs
    ]
    heads = ["NAMESPACE", "NAME", "REFUSALS BEFORE", "AFTER", "PAGE"]
    print("\n".join(columns(heads, rows)))  # noqa: T201
    return 0


def _refusals(run: Run) -> tuple[str, str]:
    results = run.status.get("results") or {}
    return (
        figures.share(results.get("refusalRateBefore")),
        figures.share(results.get("refusalRateAfter")),
    )


def _has_page(run: Run) -> bool:
    done = (StageState.SUCCEEDED, StageState.SKIPPED)
    return any(
        one.get("name") == StageName.REPORT and one.get("state") in done for one in run.stages
    )


def _told(run: Run, options: ClusterOptions) -> Iterator[str]:
    before, after = _refusals(run)
    yield f"{run.name}  {run.state}  (namespace {run.namespace})"
    yield f"  refusals of harmless requests   {before} before, {after} after"
    results = run.status.get("results") or {}
    for one in results.get("benchmarks") or []:
        scores = f"{one.get('before', '-')} before, {one.get('after', '-')} after"
        yield f"  {one.get('task')}   {scores}"
    for kind in (ConditionType.STALLED, ConditionType.EVALUATED, ConditionType.PUBLISHED):
        condition = run.conditions.get(kind, {})
        if condition.get("message") and condition.get("status") != "Unknown":
            yield f"  {kind}: {condition['message']}"
    yield ""
    yield from _page(run, options)


def _page(run: Run, options: ClusterOptions) -> Iterator[str]:
    claim = (run.status.get("workspace") or {}).get("claim")
    if not _has_page(run) or not claim:
        yield "  The page with the whole story is written by the last stage, report."
        return
    yield f"  The whole story is {downloading.page_of(run)} on the volume of claim {claim}. Get it:"
    yield f"  {program()} report {run.name}{options.as_words()} --download report.html"


def _as_json(run: Run) -> dict[str, object]:
    workspace = run.status.get("workspace") or {}
    return {
        "run": run.name,
        "namespace": run.namespace,
        "state": run.state,
        "results": run.status.get("results"),
        "conditions": list(run.conditions.values()),
        "page": {"claim": workspace.get("claim"), "path": downloading.page_of(run)}
        if _has_page(run)
        else None,
    }
