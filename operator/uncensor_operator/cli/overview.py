"""`--dry-run`: the stages, the resolved settings, and what the run needs of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from uncensor_operator.cli import words
from uncensor_operator.plan.decide import Action, Decision
from uncensor_operator.plan.estimates import Estimate, estimate
from uncensor_operator.plan.observed import Observed
from uncensor_trainer.runfile import RunFile

_SHOWN = ("model", "datasets", "filter", "training", "probe", "evaluation", "compute")


def print_json(run: RunFile, decisions: Sequence[Decision], observed: Observed) -> None:
    """Print the plan for programs."""
    needs = estimate(run, observed)
    value = {
        "run": run.run,
        "workspace": run.workspace,
        "stages": [
            {"name": one.stage, "action": one.action.value, "why": one.why} for one in decisions
        ],
        "settings": run.model_dump(mode="json", include=set(_SHOWN)),
        "globalBatchSize": run.global_batch_size,
        "machine": asdict(observed.machine),
        "estimate": {**asdict(needs), "memory_bytes": needs.memory_bytes} if needs else None,
    }
    print(json.dumps(value, indent=1, ensure_ascii=False))  # noqa: T201


def print_overview(
    console: Console, run: RunFile, decisions: Sequence[Decision], observed: Observed
) -> None:
    """Print the plan for people."""
    _title(console, f"{run.run}  ({run.workspace})")
    stages = Table(box=None, pad_edge=False, show_header=False)
    for one in decisions:
        style = "bold" if one.action is Action.RUN else "dim"
        stages.add_row(Text(one.stage, style), Text(one.action.value, style), Text(one.why, "dim"))
    console.print(stages)
    _title(console, "Settings")
    settings = Table(box=None, pad_edge=False, show_header=False)
    for field, value in _settings(run):
        settings.add_row(Text(field, "dim"), Text(value, overflow="fold"))
    console.print(settings)
    _title(console, "Needs")
    for line in _needs(run, observed):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, "bold"), soft_wrap=True)


def _settings(run: RunFile) -> Iterator[tuple[str, str]]:
    dumped = run.model_dump(mode="json", include=set(_SHOWN))
    for name in _SHOWN:
        yield from _flat(name, dumped[name])
    yield "global batch size", f"{run.global_batch_size} rows"


def _flat(path: str, value: object) -> Iterator[tuple[str, str]]:
    """One line a leaf: `training.epochs  3.0`."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _flat(f"{path}.{key}", below)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, below in enumerate(value):
            yield from _flat(f"{path}[{number}]", below)
    else:
        yield path, json.dumps(value, ensure_ascii=False)


def _needs(run: RunFile, observed: Observed) -> Iterator[str]:
    machine = observed.machine
    kind = f"{machine.gpus} GPUs" if machine.gpus else f"{machine.cores} CPU cores, no GPU"
    yield f"machine  {kind}, {words.size(machine.memory_bytes)} memory free"
    needs = estimate(run, observed)
    if needs is None:
        yield "memory, disk and time are known once fetch has the model: run with --stage fetch"
        return
    yield _against("memory", needs.memory_bytes, needs.memory_free_bytes, fits=needs.memory_fits)
    parts = (f"{name} {words.size(size)}" for name, size in needs.memory.parts.items() if size)
    yield f"         {', '.join(parts)}"
    yield _against("disk", needs.disk_bytes, needs.disk_free_bytes, fits=needs.disk_fits)
    yield _time(run, needs)


def _against(name: str, wanted: int, free: int, *, fits: bool) -> str:
    verdict = "" if fits else "  DOES NOT FIT"
    return f"{name:<8} about {words.size(wanted)} of {words.size(free)} free{verdict}"


def _time(run: RunFile, needs: Estimate) -> str:
    if needs.train_seconds is None:
        return "time     known once the data sets are here: run with --stage fetch"
    source = "measured" if needs.measured else "assumed"
    steps = f"{needs.steps} steps an arm, " if needs.steps else ""
    arms = "two arms" if run.training.control else "one arm"
    return (
        f"time     training about {words.duration(needs.train_seconds)} for {arms} ({steps}"
        f"{words.count(needs.tokens_per_second)} tokens/s {source})"
    )
