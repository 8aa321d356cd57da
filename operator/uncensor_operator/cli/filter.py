"""`uncensor filter`: the refusal filter on its own, for files and pipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from uncensor_trainer.filtering import Job, Tally
    from uncensor_trainer.filtering.job import OnProgress

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT...",
        help="JSON lines, a JSON array or Parquet, also .gz or .zst; - for stdin",
        show_default=False,
    ),
]
_DONE, _FAILED, _REFUSED = 0, 1, 64


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(name="filter")(filter_command)


def filter_command(  # noqa: PLR0917 - typer passes options by keyword
    inputs: Files = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="OUT", help="where kept rows go; - for stdout"),
    ] = None,
    mode: Annotated[
        str, typer.Option(metavar="enforce|audit", help="audit decides and keeps every row")
    ] = "enforce",
    actions: Annotated[
        str, typer.Option(metavar="CLASS=ACTION,...", help="e.g. refusal=drop,disclaimer=keep")
    ] = "",
    rules: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML or JSON: a list of {name, class, pattern}"),
    ] = None,
    decisions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="one JSON line for each flagged row")
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="one JSON line for each row that cannot be read"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="FILE.html: a page to look through; FILE.json: counts"),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON lines {row, action}: what a person decided"),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", help="processes; 0 takes one a core")
    ] = 1,
    explain: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="say how one answer is classified, and stop"),
    ] = None,
    instruction: Annotated[
        str, typer.Option(metavar="TEXT", help="with --explain: what was asked")
    ] = "",
) -> None:
    """Take refusals, lectures and empty answers out of instruction data.

    Kept lines leave byte for byte as they came. Exit codes: 0 done, 1 reading or writing failed,
    64 an input or an option is at fault (nothing was written).
    """
    from uncensor_trainer.exits import InvalidInput, StageError  # noqa: PLC0415 - a quick --help

    try:
        if explain is not None:
            _explain(instruction, explain, rules)
            raise typer.Exit(_DONE)
        if not inputs:
            raise InvalidInput("Name the files to filter, or - for standard input; see --help.")
        if output is None and mode != "audit":
            raise InvalidInput("Say with -o where the kept rows go; -o - is standard output.")
        job = _job(
            inputs=tuple(inputs),
            output=output,
            mode=mode,
            actions=actions,
            rules=rules,
            annotations=annotations,
            decisions=decisions,
            quarantine=quarantine,
            report=report,
            jobs=jobs,
        )
        _run(job)
    except StageError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        code = _REFUSED if isinstance(error, InvalidInput) else _FAILED
        raise typer.Exit(code) from error
    except BrokenPipeError:
        # The reader (head, less) has gone. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_FAILED) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(_FAILED) from error


def _job(
    *,
    inputs: tuple[str, ...],
    output: str | None,
    mode: str,
    actions: str,
    rules: Path | None,
    annotations: Path | None,
    decisions: Path | None,
    quarantine: Path | None,
    report: Path | None,
    jobs: int,
) -> Job:
    from uncensor_trainer.filtering.annotations import annotations_from  # noqa: PLC0415
    from uncensor_trainer.filtering.job import Job  # noqa: PLC0415
    from uncensor_trainer.filtering.policy import (  # noqa: PLC0415
        Policy,
        actions_from,
        checked,
        rules_from,
    )

    patterns = rules_from(rules) if rules else ()
    by_hand = annotations_from(annotations) if annotations else {}
    policy = checked(Policy(mode, actions_from(actions), patterns, by_hand))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Job(inputs, output, policy, decisions, quarantine, report, jobs or cores or 1)


def _run(job: Job) -> None:
    from uncensor_trainer.filtering.job import filter_files  # noqa: PLC0415

    with _progress(job) as on_progress:
        tally = filter_files(job, on_progress)
    _show(job, tally)


@contextmanager
def _progress(job: Job) -> Iterator[OnProgress]:
    """A bar on a terminal; nothing in a pipe or a log."""
    if not sys.stderr.isatty():
        yield lambda consumed, tally: None
        return
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second to import
    from rich.progress import Progress  # noqa: PLC0415

    from uncensor_trainer.filtering.sources import bytes_of  # noqa: PLC0415

    # Drawn by us, not by a thread: processes that are forked must not find one running.
    bar = Progress(console=Console(stderr=True), auto_refresh=False, transient=True)
    with bar:
        task = bar.add_task("filtering", total=bytes_of(job.inputs))

        def advance(consumed: int, tally: Tally) -> None:
            words = f"{tally.rows:,} rows, {tally.dropped:,} dropped"
            bar.update(task, advance=consumed, description=words, refresh=True)

        yield advance


def _show(job: Job, tally: Tally) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    share = f"{tally.dropped / tally.rows:.1%}" if tally.rows else "none"
    console.print(
        f"{tally.rows:,} rows: {tally.kept:,} kept ({tally.stripped:,} of them stripped, "
        f"{tally.cut:,} in part), "
        f"{tally.dropped:,} dropped ({share}), {tally.quarantined:,} quarantined."
    )
    if tally.by_class:
        table = Table("class", "rows", "action")
        for name, count in tally.by_class.most_common():
            action = job.policy.actions[name] if job.policy.mode == "enforce" else "keep (audit)"
            table.add_row(name, f"{count:,}", action)
        console.print(table)
    for entry in tally.broken:
        where = f"{entry['file']}:{entry['line']} (byte {entry['offset']})"
        console.print(f"cannot be read: {where}: {entry['reason']}", markup=False, soft_wrap=True)
    if tally.quarantined > len(tally.broken) and job.quarantine is None:
        console.print("Use --quarantine FILE to see all of them.")


def _explain(instruction: str, text: str, rules: Path | None) -> None:
    from uncensor_trainer.filtering.policy import rules_from  # noqa: PLC0415
    from uncensor_trainer.refusals.engine import classify  # noqa: PLC0415

    verdict = classify(instruction, text, rules_from(rules) if rules else ())
    print(f"class  {verdict.answer_class.value}")  # noqa: T201
    if verdict.is_flagged:
        print(f"rule   {verdict.rule}")  # noqa: T201
        print(f"span   {verdict.start}-{verdict.end}: {text[verdict.start : verdict.end]!r}")  # noqa: T201
        print(f"score  {verdict.score}")  # noqa: T201
