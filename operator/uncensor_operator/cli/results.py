"""The end of a run in a few lines: the comparison, and where the whole story lies."""

from __future__ import annotations

from rich.console import Console

from uncensor_trainer.report.terminal import bars
from uncensor_trainer.workspace import Workspace, read_json


def print_results(console: Console, workspace: Workspace) -> None:
    """Print the refusal rates as bars and the paths of report and model."""
    refusal = read_json(workspace.output("evaluate") / "refusal.json")
    if refusal is not None:
        console.print()
        _plain(console, bars(refusal))
        gate = refusal.get("gate")
        if isinstance(gate, dict) and gate.get("met") is False:
            limit = gate.get("maxRefusalRate")
            _plain(console, f"The gate evaluation.gates.maxRefusalRate ({limit}) is NOT met.")
    console.print()
    _plain(console, f"model   {workspace.output('train')}")
    _plain(console, f"report  {workspace.output('report') / 'index.html'}")


def _plain(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
