"""What people see while a run happens: a live table, plain lines, or JSON lines for programs."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from uncensor_operator.cli import words
from uncensor_operator.local.process import StageEnd, StageEvent
from uncensor_operator.local.runner import Listener
from uncensor_operator.plan.decide import Action, Decision
from uncensor_trainer.exits import ExitCode
from uncensor_trainer.progress import Json

PLAIN_SECONDS_BETWEEN_LINES = 5.0
BAR_WIDTH = 24
NOTES_SHOWN = 3


class View(Listener):
    """A listener that is opened before the first stage and closed after the last."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


@dataclass(slots=True)
class Row:
    """One stage as it stands now."""

    state: str = "waiting"
    detail: str = ""
    share: float | None = None
    started: float | None = None
    seconds: float | None = None


def summary_sentence(stage: str, summary: dict[str, Json]) -> str:
    """Return what a finished stage has to say for itself, in a few words."""
    writer = {
        "filter": _filter_words,
        "train": _train_words,
        "train-control": _train_words,
        "evaluate": _evaluate_words,
    }.get(stage)
    return writer(summary) if writer else ""


def _number(value: Json, fallback: float = 0.0) -> float:
    return float(value) if isinstance(value, int | float) else fallback


def _filter_words(summary: dict[str, Json]) -> str:
    text = f"{_number(summary.get('kept')):.0f} of {_number(summary.get('rows')):.0f} rows kept"
    if summary.get("quarantined"):
        text += f", {_number(summary.get('quarantined')):.0f} unreadable"
    return text


def _train_words(summary: dict[str, Json]) -> str:
    loss, steps = _number(summary.get("finalLoss")), _number(summary.get("steps"))
    return f"loss {loss:.4f} after {steps:.0f} steps"


def _evaluate_words(summary: dict[str, Json]) -> str:
    rates = summary.get("rates")
    if not isinstance(rates, dict):
        return ""
    parts = [f"{arm} {words.percent(_number(rate))}" for arm, rate in rates.items()]
    return "refusals: " + ", ".join(parts)


def progress_words(event: StageEvent) -> str:
    """Return step, loss, speed and remaining time, as far as the stage knows them."""
    step, total = event.get("step"), event.get("total")
    parts = [f"{step}/{total}" if total else f"{step}"]
    if isinstance(event.get("loss"), int | float):
        parts.append(f"loss {_number(event.get('loss')):.4f}")
    if isinstance(event.get("tokens_per_second"), int | float):
        parts.append(f"{_number(event.get('tokens_per_second')):.0f} tok/s")
    if isinstance(event.get("eta_seconds"), int | float):
        parts.append(f"ETA {words.duration(_number(event.get('eta_seconds')))}")
    return "  ".join(parts)


class LiveView(View):
    """A table that redraws itself, for terminals."""

    def __init__(self, console: Console, decisions: tuple[Decision, ...]) -> None:
        self._console = console
        self._rows = {one.stage: Row() for one in decisions if one.action is not Action.LEAVE}
        self._notes: list[str] = []
        self._began = time.monotonic()
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=4, transient=False
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def stage_started(self, stage: str) -> None:
        self._rows[stage] = Row("running", started=time.monotonic())

    def stage_event(self, stage: str, event: StageEvent) -> None:
        row = self._rows[stage]
        if event.get("event") == "progress":
            step, total = _number(event.get("step")), _number(event.get("total"))
            row.share = step / total if total else None
            row.detail = progress_words(event)
        elif event.get("event") == "note":
            self._notes = [*self._notes, str(event.get("message"))][-NOTES_SHOWN:]

    def stage_ended(self, stage: str, end: StageEnd, seconds: float) -> None:
        state = {0: "done", int(ExitCode.STOPPED_AND_SAVED): "stopped"}.get(end.code, "failed")
        detail = summary_sentence(stage, dict(end.summary)) if end.summary else ""
        self._rows[stage] = Row(state, detail, seconds=seconds)

    def stage_skipped(self, stage: str, why: str) -> None:
        self._rows[stage] = Row("skipped", why)

    def stopping(self, again: bool) -> None:
        self._notes = [_stopping_words(again)]

    def waiting(self) -> None:
        self._notes = ["An earlier process of this run still saves its state; waiting for it ..."]

    def _render(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, show_header=False)
        for stage, row in self._rows.items():
            table.add_row(*self._cells(stage, row))
        elapsed = words.duration(time.monotonic() - self._began)
        notes = [Text(note, style="dim") for note in self._notes]
        return Group(table, *notes, Text(f"elapsed {elapsed}", style="dim"))

    def _cells(self, stage: str, row: Row) -> tuple[RenderableType, ...]:
        mark, style = {
            "waiting": (" ", "dim"),
            "running": (">", "bold cyan"),
            "done": ("+", "green"),
            "skipped": ("=", "dim"),
            "stopped": ("#", "yellow"),
            "failed": ("x", "bold red"),
        }[row.state]
        seconds = row.seconds
        if row.started is not None and seconds is None:
            seconds = time.monotonic() - row.started
        bar: RenderableType = Text("")
        if row.state == "running" and row.share is not None:
            bar = ProgressBar(total=1.0, completed=row.share, width=BAR_WIDTH)
        return (
            Text(mark, style=style),
            Text(stage, style=style),
            Text(words.duration(seconds) if seconds is not None else "", style="dim"),
            bar,
            Text(row.detail),
        )


@dataclass(slots=True)
class PlainView(View):
    """One line an event, for logs and pipes."""

    console: Console
    last: float = field(default=float("-inf"))

    def stage_started(self, stage: str) -> None:
        self._say(f"{stage}: started")

    def stage_event(self, stage: str, event: StageEvent) -> None:
        if event.get("event") == "note":
            self._say(f"{stage}: {event.get('message')}")
        elif event.get("event") == "progress":
            now = time.monotonic()
            if now - self.last >= PLAIN_SECONDS_BETWEEN_LINES:
                self.last = now
                self._say(f"{stage}: {progress_words(event)}")

    def stage_ended(self, stage: str, end: StageEnd, seconds: float) -> None:
        word = {0: "done", int(ExitCode.STOPPED_AND_SAVED): "stopped"}.get(end.code, "failed")
        detail = summary_sentence(stage, dict(end.summary)) if end.summary else ""
        self._say(f"{stage}: {word} in {words.duration(seconds)}{'  ' if detail else ''}{detail}")

    def stage_skipped(self, stage: str, why: str) -> None:
        self._say(f"{stage}: skipped, {why}")

    def stopping(self, again: bool) -> None:
        self._say(_stopping_words(again))

    def waiting(self) -> None:
        self._say("An earlier process of this run still saves its state; waiting for it ...")

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


@dataclass(slots=True)
class JsonView(View):
    """One JSON object a line, for programs."""

    stream: TextIO

    def stage_started(self, stage: str) -> None:
        self._write(event="stage-started", stage=stage)

    def stage_event(self, stage: str, event: StageEvent) -> None:
        self._write(**{"stage": stage, **event})

    def stage_ended(self, stage: str, end: StageEnd, seconds: float) -> None:
        self._write(
            event="stage-ended",
            stage=stage,
            code=end.code,
            message=end.message,
            summary=dict(end.summary) if end.summary else None,
            seconds=round(seconds, 3),
            peakMemoryBytes=end.peak_memory_bytes,
        )

    def stage_skipped(self, stage: str, why: str) -> None:
        self._write(event="stage-skipped", stage=stage, message=why)

    def stopping(self, again: bool) -> None:
        self._write(event="stopping", again=again)

    def waiting(self) -> None:
        self._write(event="waiting")

    def _write(self, **values: Json) -> None:
        print(json.dumps(values, ensure_ascii=False), file=self.stream, flush=True)


def _stopping_words(again: bool) -> str:
    if again:
        return "Ending at once; the last saved state stays."
    return "Saving and stopping; once more ends at once."
