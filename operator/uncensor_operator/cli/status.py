"""`uncensor status`: how the runs of a workspace stand, without disturbing them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uncensor_operator.cli import words
from uncensor_operator.cli.folders import find_runs
from uncensor_operator.cli.view import summary_sentence
from uncensor_operator.local.lock import is_locked
from uncensor_operator.local.runner import RUN_FILE
from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import RunFile, StagePlan, read_run_file
from uncensor_trainer.workspace import Workspace, read_lines

STYLES = {"done": "green", "running": "bold cyan", "failed": "bold red", "stopped": "yellow"}


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage as the workspace tells it."""

    name: str
    state: str
    seconds: float | None
    detail: str


def status(folder: Path, *, as_json: bool) -> int:
    """Print every run below a folder and return the exit code.

    Raises:
        UncensorError: there is no run.
    """
    runs = [(workspace, _stages(workspace)) for workspace in find_runs(folder)]
    if as_json:
        print(json.dumps([_as_json(*one) for one in runs], indent=1, ensure_ascii=False))  # noqa: T201
        return 0
    console = Console()
    for workspace, stages in runs:
        _show(console, workspace, stages)
    return 0


def _stages(workspace: Workspace) -> list[StageStatus]:
    run: RunFile = read_run_file(workspace.run_dir / RUN_FILE)
    working = is_locked(workspace.run_dir)
    last = _last_events(workspace)
    return [
        _stage(workspace, plan, last.get(plan.name, {}), working=working) for plan in run.stages
    ]


def _stage(
    workspace: Workspace, plan: StagePlan, event: dict[str, Json], *, working: bool
) -> StageStatus:
    record = workspace.record(plan.name)
    if record is not None and record.get("digest") == plan.digest:
        summary, seconds = record.get("summary"), record.get("seconds")
        detail = summary_sentence(plan.name, summary) if isinstance(summary, dict) else ""
        took = float(seconds) if isinstance(seconds, int | float) else None
        return StageStatus(plan.name, "done", took, detail)
    kind, message = event.get("event"), str(event.get("message", ""))
    if kind == "stage-started":
        state = "running" if working else "interrupted"
        return StageStatus(plan.name, state, None, _training_words(workspace, plan.name))
    if kind in ("stage-failed", "stage-stopped"):
        return StageStatus(plan.name, str(kind).removeprefix("stage-"), None, message)
    return StageStatus(plan.name, "stale" if record else "waiting", None, "")


def _training_words(workspace: Workspace, stage: str) -> str:
    arm = {"train": "filtered", "train-control": "control"}.get(stage)
    if arm is None:
        return ""
    rows = read_lines(workspace.arm_dir(arm) / "metrics.jsonl")
    if not rows:
        return ""
    return f"step {rows[-1].get('step')}, loss {rows[-1].get('loss')}"


def _last_events(workspace: Workspace) -> dict[str, dict[str, Json]]:
    return {str(event.get("stage")): event for event in read_lines(workspace.events)}


def _as_json(workspace: Workspace, stages: list[StageStatus]) -> dict[str, object]:
    return {
        "run": workspace.run,
        "folder": str(workspace.run_dir),
        "stages": [
            {"name": s.name, "state": s.state, "seconds": s.seconds, "message": s.detail}
            for s in stages
        ],
    }


def _show(console: Console, workspace: Workspace, stages: list[StageStatus]) -> None:
    console.print(Text(workspace.run, "bold"), Text(str(workspace.run_dir), "dim"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False)
    for one in stages:
        seconds = words.duration(one.seconds) if one.seconds is not None else ""
        style = STYLES.get(one.state, "dim")
        table.add_row(
            Text(f"  {one.name}"), Text(one.state, style), Text(seconds, "dim"), Text(one.detail)
        )
    console.print(table)
