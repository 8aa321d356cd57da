"""When each stage worked: attempts from events, laid on a clock that stops while nothing ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from uncensor_trainer.report import words
from uncensor_trainer.report.facts import Event, Facts, StageFact

OUTCOMES = {
    "stage-finished": "finished",
    "stage-failed": "failed",
    "stage-stopped": "stopped",
}
BROKEN_OFF = "broken off"
OTHER_SETTINGS = "made with other settings"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a stage; times in Unix seconds."""

    stage: str
    start: float
    end: float
    outcome: str
    message: str = ""
    peak_bytes: int = 0

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start

    @property
    def told(self) -> str:
        """How it ended, in words; of what was killed only the last sign of life is known."""
        if self.outcome != BROKEN_OFF:
            return f"{self.outcome} after {words.duration(self.seconds)}"
        return f"{BROKEN_OFF} after {words.duration(self.seconds)} or more"


@dataclass(frozen=True, slots=True)
class StageLine:
    """One stage of the timeline."""

    name: str
    state: str
    attempts: tuple[Attempt, ...]
    skips: int
    """Starts of the run that found it complete."""

    @property
    def seconds(self) -> float:
        """How long all attempts lasted."""
        return sum(attempt.seconds for attempt in self.attempts)

    @property
    def peak_bytes(self) -> int:
        """Most memory of any attempt; 0 where nobody measured it."""
        return max((attempt.peak_bytes for attempt in self.attempts), default=0)


@dataclass(frozen=True, slots=True)
class Timeline:
    """All stages in the order of the run.

    Attributes:
        lines: one a stage.
        busy_seconds: how long anything ran.
        idle_seconds: how long nothing ran between the first start and the last end.
        clock: maps Unix seconds to seconds of work before it.
    """

    lines: tuple[StageLine, ...]
    busy_seconds: float
    idle_seconds: float
    clock: Callable[[float], float]


@dataclass(slots=True)
class _Reading:
    """What was understood of the events so far."""

    attempts: list[Attempt] = field(default_factory=list)
    skips: Counter[str] = field(default_factory=Counter)
    started: dict[str, float] = field(default_factory=dict)


def timeline(facts: Facts) -> Timeline:
    """Return what happened to every stage but the report, which is being written."""
    signs = sorted(p.time for t in facts.training for p in t.points if p.time is not None)
    reading = _read(facts.events, signs)
    lines = []
    for plan in facts.run.stages:
        if plan.name == "report":
            continue
        attempts = _latest([a for a in reading.attempts if a.stage == plan.name])
        record = facts.stages.get(plan.name)
        if record and not any(attempt.outcome == "finished" for attempt in attempts):
            attempts = (*attempts, _recorded(record))
        state = _state(plan.name, attempts, facts)
        lines.append(StageLine(plan.name, state, attempts, reading.skips[plan.name]))
    spans = _merged((a.start, a.end) for line in lines for a in line.attempts)
    busy = sum(end - start for start, end in spans)
    whole = spans[-1][1] - spans[0][0] if spans else 0.0

    def clock(time: float) -> float:
        return sum(max(0.0, min(time, end) - start) for start, end in spans)

    return Timeline(tuple(lines), busy, max(0.0, whole - busy), clock)


def _read(events: Iterable[Event], signs: Sequence[float]) -> _Reading:
    reading = _Reading()
    last = 0.0
    for event in events:
        last = event.time
        if event.kind == "stage-skipped":
            reading.started.pop(event.stage, None)
            reading.skips[event.stage] += 1
        elif event.kind == "stage-started":
            # A runner that was killed wrote no end; the next start tells.
            _break_off(reading, event.stage, event.time, signs)
            reading.started[event.stage] = event.time
        elif event.kind in OUTCOMES and event.stage in reading.started:
            start = reading.started.pop(event.stage)
            outcome = OUTCOMES[event.kind]
            end = max(start, event.time)
            reading.attempts.append(
                Attempt(event.stage, start, end, outcome, event.message, event.peak_bytes)
            )
    for stage in list(reading.started):
        _break_off(reading, stage, max([last, *signs]), signs)
    return reading


def _break_off(reading: _Reading, stage: str, latest: float, signs: Sequence[float]) -> None:
    """Close an attempt without an end at the last sign of life before `latest`."""
    if stage not in reading.started:
        return
    start = reading.started.pop(stage)
    end = max((sign for sign in signs if start <= sign <= latest), default=start)
    reading.attempts.append(Attempt(stage, start, end, BROKEN_OFF))


def _latest(attempts: Sequence[Attempt]) -> tuple[Attempt, ...]:
    """Leave out what led to an output that another one has replaced since."""
    finished = [n for n, attempt in enumerate(attempts) if attempt.outcome == "finished"]
    return tuple(attempts[finished[-2] + 1 :] if len(finished) > 1 else attempts)


def _recorded(record: StageFact) -> Attempt:
    return Attempt(record.name, record.finished - record.seconds, record.finished, "finished")


def _state(name: str, attempts: tuple[Attempt, ...], facts: Facts) -> str:
    if name in facts.stages:
        return "complete"
    if name in facts.stale:
        return OTHER_SETTINGS
    return attempts[-1].outcome if attempts else "not run"


def _merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
