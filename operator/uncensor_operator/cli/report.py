"""`uncensor report`: the comparison in the terminal, and the path of its page."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

from rich.console import Console

from uncensor_operator.cli.folders import find_runs
from uncensor_operator.cli.results import print_results
from uncensor_operator.errors import UncensorError
from uncensor_trainer.workspace import Workspace, read_json


def report(folder: Path, *, open_it: bool, as_json: bool) -> int:
    """Print the results of every finished run below a folder and return the exit code.

    Raises:
        UncensorError: there is no run, or none has a report yet.
    """
    runs = find_runs(folder)
    finished = [one for one in runs if (one.output("report") / "index.html").is_file()]
    if not finished:
        names = ", ".join(one.run for one in runs)
        raise UncensorError(
            f"No report yet in {folder} (runs: {names}). `uncensor status {folder}` says how far "
            "they are; `uncensor run FILE` goes on."
        )
    if as_json:
        print(json.dumps([_as_json(one) for one in finished], indent=1, ensure_ascii=False))  # noqa: T201
        return 0
    console = Console()
    for workspace in finished:
        print_results(console, workspace)
        if open_it:
            webbrowser.open((workspace.output("report") / "index.html").as_uri())
    return 0


def _as_json(workspace: Workspace) -> dict[str, object]:
    page = workspace.output("report") / "index.html"
    return {
        "run": workspace.run,
        "page": str(page),
        "report": read_json(workspace.output("report") / "report.json"),
    }
