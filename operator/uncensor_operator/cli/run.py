"""`uncensor run` and `uncensor plan`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from uncensor_operator.cli.manifests import load, plan_here
from uncensor_operator.cli.overview import print_json, print_overview
from uncensor_operator.cli.results import print_results
from uncensor_operator.cli.view import JsonView, LiveView, PlainView, View
from uncensor_operator.local.runner import Outcome, execute
from uncensor_operator.plan.decide import Action, Decision, decide
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.workspace import Workspace


def run(
    file: str,
    *,
    overrides: Sequence[str],
    stages: Sequence[str],
    from_stage: str | None,
    dry_run: bool,
    workspace: Path,
    name: str | None,
    as_json: bool,
) -> int:
    """Plan a training for this machine and run it; return the exit code.

    Raises:
        UncensorError: the manifest, a stage's name or the workspace is at fault.
    """
    training = load(file, overrides, name)
    run_file, observed = plan_here(training, workspace)
    decisions = decide(run_file, observed.done, only=stages, from_stage=from_stage)
    console = Console()
    if dry_run and as_json:
        print_json(run_file, decisions, observed)
        return 0
    if dry_run:
        print_overview(console, run_file, decisions, observed)
        return 0
    with _view(console, decisions, as_json=as_json) as view:
        outcome = execute(run_file, decisions, view)
    _say_how_it_ended(console, run_file, decisions, outcome, as_json=as_json)
    return outcome.code


def _view(console: Console, decisions: tuple[Decision, ...], *, as_json: bool) -> View:
    if as_json:
        return JsonView(sys.stdout)
    return LiveView(console, decisions) if console.is_terminal else PlainView(console)


def _say_how_it_ended(
    console: Console,
    run_file: RunFile,
    decisions: Sequence[Decision],
    outcome: Outcome,
    *,
    as_json: bool,
) -> None:
    """Errors to standard error, results to standard output (JSON has had its last line)."""
    if outcome.code != 0:
        log = f"\nThe log: {outcome.log}" if outcome.log and not outcome.stopped else ""
        hint = "\nThe same command goes on from here." if outcome.stopped else ""
        print(f"{outcome.stage}: {outcome.message}{hint}{log}", file=sys.stderr)  # noqa: T201
        return
    if as_json:
        return
    if any(one.action is Action.LEAVE for one in decisions):
        return
    print_results(console, Workspace(Path(run_file.workspace), run_file.run))
