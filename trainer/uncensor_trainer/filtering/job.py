"""A filtering of files: inputs in, kept rows, decisions, quarantine and report out."""

from __future__ import annotations

import itertools
import json
import operator
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering.outputs import (
    STDOUT,
    Beside,
    Lines,
    Placed,
    Writer,
    kind_of_output,
    writer_of,
)
from uncensor_trainer.filtering.page import Gallery, page
from uncensor_trainer.filtering.policy import Decision, Policy, checked
from uncensor_trainer.filtering.pool import Done, Workers, work
from uncensor_trainer.filtering.resuming import Keeper, State, fingerprint_of
from uncensor_trainer.filtering.sources import (
    LONGEST_LINE_BYTES,
    STDIN,
    Task,
    check_exists,
    tasks_of,
)
from uncensor_trainer.progress import Json

EXAMPLES = 5
TENTHS = 10
_ROWS_OF_OWN = (".parquet",)
MOST_JOBS = 256


@dataclass(frozen=True, slots=True)
class Job:
    """What to filter, and where everything goes.

    Attributes:
        inputs: paths, or "-" for standard input; their rows are counted through.
        output: a path, "-" for standard output, or None to write no rows.
        decisions, quarantine, report: files to write beside; None writes none. A report that
            ends in .html is a page for people, any other JSON.
        jobs: processes.
    """

    inputs: tuple[str, ...]
    output: str | None
    policy: Policy
    decisions: Path | None = None
    quarantine: Path | None = None
    report: Path | None = None
    jobs: int = 1


@dataclass(slots=True)
class Tally:
    """What became of the rows; every row is kept, dropped or quarantined."""

    rows: int = 0
    kept: int = 0
    dropped: int = 0
    stripped: int = 0
    cut: int = 0
    quarantined: int = 0
    by_class: Counter[str] = field(default_factory=Counter)
    by_rule: Counter[str] = field(default_factory=Counter)
    by_hand: int = 0
    combinations: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Flagged rows by the classes of their answers, to tell what another policy would do."""
    scores: dict[str, list[int]] = field(default_factory=dict)
    """Flagged rows by class and tenth of the score."""
    broken: list[dict[str, Json]] = field(default_factory=list)
    """The first quarantined rows."""

    def count(self, decision: Decision) -> None:
        """Count one flagged row."""
        self.by_hand += decision.by_hand
        if not decision.verdicts:
            return
        strongest = decision.strongest
        name = strongest.answer_class.value
        self.by_class[name] += 1
        self.by_rule[strongest.rule] += 1
        self.combinations[tuple(sorted({v.answer_class.value for _, v in decision.verdicts}))] += 1
        tenth = min(int(strongest.score * TENTHS), TENTHS - 1)
        self.scores.setdefault(name, [0] * TENTHS)[tenth] += 1

    def as_json(self, job: Job) -> dict[str, Json]:
        """Return what the report file holds; the same whatever the number of processes."""
        return {
            "inputs": list(job.inputs),
            "output": job.output,
            "mode": job.policy.mode,
            "actions": dict(job.policy.actions),
            "rules": [rule.name for rule in job.policy.rules],
            "rows": self.rows,
            "kept": self.kept,
            "dropped": self.dropped,
            "stripped": self.stripped,
            "cut": self.cut,
            "byHand": self.by_hand,
            "quarantined": self.quarantined,
            "byClass": _most_first(self.by_class),
            "byRule": _most_first(self.by_rule),
            "quarantineExamples": list(self.broken),
        }


def _most_first(counts: Counter[str]) -> dict[str, Json]:
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: counts[name] for name in names}


OnProgress = Callable[[int, Tally], None]


def filter_files(job: Job, on_progress: OnProgress = lambda consumed, tally: None) -> Tally:
    """Filter the inputs into the output.

    Files appear whole or not at all, and an input is never touched.

    Args:
        job: what to do.
        on_progress: called with the bytes of input that were just done, and the counts so far.

    Raises:
        InvalidInput: an input, a setting or a place to write is at fault; nothing was written.
        OSError: reading or writing failed.
    """
    is_page = job.report is not None and job.report.suffix.lower() == ".html"
    policy = replace(checked(job.policy), shows=is_page)
    job = replace(job, policy=policy)
    for name in job.inputs:
        check_exists(name)
    _check_places(job)
    with ExitStack() as stack:
        keeper = _keeper(stack, job, policy)
        books = _Books(
            _text(stack, job.decisions, keeper), _text(stack, job.quarantine, keeper), on_progress
        )
        writer, target = _writer(stack, job, keeper)
        workers = None
        if job.jobs > 1:
            workers = stack.enter_context(Workers(job.jobs, policy, target))
        _Run(job, policy, books, writer, workers, keeper).run()
        if workers:
            workers.finish()
        writer.close()
        if report := _text(stack, job.report, None):
            told = books.tally.as_json(job)
            if is_page:
                report.write(page(told, books.tally, books.gallery))
            else:
                report.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    return books.tally


def _keeper(stack: ExitStack, job: Job, policy: Policy) -> Keeper | None:
    """Return what keeps the state, where a killed run can go on at all."""
    is_plain = all(name != STDIN and Path(name).is_file() for name in job.inputs)
    if job.output in {None, STDOUT} or not is_plain:
        return None
    place = Path(str(job.output))
    is_file = place.is_file() or not place.exists()
    if not is_file or kind_of_output(str(job.output), job.inputs) not in {".jsonl", ".ndjson"}:
        return None
    settings = (policy, job.decisions, job.quarantine)
    return stack.enter_context(Keeper(place, fingerprint_of(job.inputs, settings)))


@dataclass(slots=True)
class _Run:
    """The pieces of all inputs, one after another; a killed run goes on where its state was."""

    job: Job
    policy: Policy
    books: _Books
    writer: Writer
    workers: Workers | None
    keeper: Keeper | None
    state: State = field(default_factory=State)

    def run(self) -> None:
        """Filter what is left to do."""
        self._go_on()
        for number, name in enumerate(self.job.inputs):
            if number < self.state.input:
                continue
            done_before = self.state.pieces if number == self.state.input else 0
            self.books.begin(name, go_on=done_before > 0)
            tasks = itertools.islice(tasks_of(name), done_before, None)
            done_pieces = done_before
            for done in _filtered(tasks, self.policy, self.workers, self.writer):
                self.writer.take(done)
                self.books.enter(done)
                self.state.consumed += done.consumed
                done_pieces += done.is_last
                if done.is_last and self.keeper and self.keeper.is_due():
                    self._offer(self.keeper, number, done_pieces)

    def _go_on(self) -> None:
        found = self.keeper.found() if self.keeper else None
        if not isinstance(self.writer, Placed):
            return
        files = self.books.files
        if found and self._is_there(found.sizes):
            self.state = found
        sizes = self.state.sizes or [0] * (len(files) + 1)
        self.writer.go_on(sizes[0], line_is_open=self.state.line_is_open)
        for file, size in zip(files, sizes[1:], strict=True):
            file.truncate(size)
            file.seek(size)
        if self.state.books:
            self.books.go_on(self.state.books, self.state.consumed)

    def _is_there(self, sizes: list[int]) -> bool:
        """Tell whether the unfinished files hold what the state speaks of."""
        place = Path(os.path.realpath(str(self.job.output)))
        parts = [place.with_name(f".{place.name}.part").stat().st_size]
        parts += [os.fstat(file.fileno()).st_size for file in self.books.files]
        return len(parts) == len(sizes) and all(map(operator.ge, parts, sizes))

    def _offer(self, keeper: Keeper, number: int, pieces: int) -> None:
        if not isinstance(self.writer, Placed):
            return
        sizes = [self.writer.size]
        for file in self.books.files:
            file.flush()
            sizes.append(os.fstat(file.fileno()).st_size)
        state = State(
            number, pieces, self.state.consumed, sizes, self.writer.line_is_open, self.books.kept()
        )
        keeper.offer(state, self.workers.is_written() if self.workers else lambda: True)


def _filtered(
    tasks: Iterator[Task], policy: Policy, workers: Workers | None, writer: Writer
) -> Iterator[Done]:
    if workers is None:
        return (done for task in tasks for done in work(task, policy))
    place = writer.place if isinstance(writer, Placed) else lambda done: 0
    return workers.filtered(tasks, place)


class _Books:
    """Counts, and writes down what was flagged and what could not be read."""

    def __init__(
        self, decisions: TextIO | None, quarantine: TextIO | None, on_progress: OnProgress
    ) -> None:
        self.tally = Tally()
        self.gallery = Gallery()
        self._decisions = decisions
        self._quarantine = quarantine
        self._on_progress = on_progress
        self._input = ""
        self._lines = 0

    @property
    def files(self) -> list[TextIO]:
        """The files that grow with the input."""
        return [file for file in (self._decisions, self._quarantine) if file]

    def begin(self, name: str, *, go_on: bool = False) -> None:
        """Count the lines of another input from 1, or go on in one."""
        self._input, self._lines = name, self._lines if go_on else 0

    def kept(self) -> dict[str, Any]:
        """Return what a run that goes on must know."""
        tally = {name: getattr(self.tally, name) for name in self.tally.__slots__}
        tally["combinations"] = [[list(k), n] for k, n in self.tally.combinations.items()]
        return {"tally": tally, "lines": self._lines, "gallery": self.gallery.kept()}

    def go_on(self, kept: dict[str, Any], consumed: int) -> None:
        """Take over what a killed run knew."""
        tally = dict(kept["tally"])
        combinations = {tuple(names): rows for names, rows in tally.pop("combinations")}
        for name in ("by_class", "by_rule"):
            tally[name] = Counter(tally[name])
        self.tally = Tally(**tally, combinations=Counter(combinations))
        self._lines = kept["lines"]
        self.gallery = Gallery.of(kept["gallery"])
        self._on_progress(consumed, self.tally)

    def enter(self, done: Done) -> None:
        """Count one piece of the input."""
        tally, outcome = self.tally, done.outcome
        for row, decision in outcome.flagged:
            tally.count(decision)
            tally.dropped += decision.action == "drop"
            tally.stripped += decision.action == "strip"
            tally.cut += decision.action == "cut"
            _write(self._decisions, decision.as_json(tally.rows + row))
        for entry in outcome.shown:
            self.gallery.add({**entry, "index": tally.rows + int(str(entry["index"]))})
        for bad in outcome.quarantined:
            offset = done.chunk.offset + bad.offset
            if done.chunk.offsets:
                offset = done.chunk.offsets[bad.line]
            self._quarantined(tally.rows + bad.row, bad.line, offset, bad.reason, bad.snippet)
        tally.rows += outcome.rows
        self._lines += outcome.lines
        if done.chunk.too_long is not None:
            reason = f"longer than {LONGEST_LINE_BYTES >> 20} MiB"
            self._quarantined(tally.rows, 0, done.chunk.too_long, reason, "")
            tally.rows += 1
            self._lines += 1
        kept = outcome.rows - len(outcome.quarantined)
        tally.kept += kept - sum(decision.action == "drop" for _, decision in outcome.flagged)
        assert tally.rows == tally.kept + tally.dropped + tally.quarantined  # noqa: S101
        self._on_progress(done.consumed, tally)

    def _quarantined(self, index: int, line: int, offset: int, reason: str, snippet: str) -> None:
        entry: dict[str, Json] = {
            "index": index,
            "file": self._input,
            "line": self._lines + line + 1,
            "offset": offset,
            "reason": reason,
            "snippet": snippet,
        }
        self.tally.quarantined += 1
        if len(self.tally.broken) < EXAMPLES:
            self.tally.broken.append(entry)
        _write(self._quarantine, entry)


def _write(file: TextIO | None, entry: dict[str, Json]) -> None:
    if file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _text(stack: ExitStack, path: Path | None, keeper: Keeper | None) -> TextIO | None:
    if path is None:
        return None
    part = stack.enter_context(Beside(path, can_go_on=keeper is not None))
    return stack.enter_context(part.open("r+" if keeper else "w", encoding="utf-8"))


class _Nowhere:
    def take(self, done: Done) -> None:
        """Rows are not wanted."""

    def close(self) -> None:
        """Nothing is open."""


def _writer(stack: ExitStack, job: Job, keeper: Keeper | None) -> tuple[Writer, Path | None]:
    """Return what takes the rows, and the file into which processes may write themselves."""
    if job.output is None:
        return _Nowhere(), None
    kind = kind_of_output(job.output, job.inputs)
    place = Path(job.output)
    if job.output == STDOUT:
        return Lines(sys.stdout.buffer), None
    if place.exists() and not place.is_file():  # a pipe or /dev/null: nothing to move there
        return Lines(place.open("wb")), None
    part = stack.enter_context(Beside(place, can_go_on=keeper is not None))
    writer = writer_of(kind, part, job.inputs)
    return writer, part if isinstance(writer, Placed) else None


def _check_places(job: Job) -> None:
    """Refuse to write over an input, or two things into one file."""
    if not job.inputs:
        raise InvalidInput("There is no input; name files, or - for standard input.")
    if not 1 <= job.jobs <= MOST_JOBS:
        raise InvalidInput(f"--jobs is {job.jobs}; want a number from 1 to {MOST_JOBS}.")
    if job.inputs.count(STDIN) > 1:
        raise InvalidInput("Standard input (-) can be read only once.")
    places = [
        place
        for place in (job.output, job.decisions, job.quarantine, job.report)
        if place is not None and str(place) != STDOUT
    ]
    real = [os.path.realpath(place) for place in places]
    for place, path in zip(places, real, strict=True):
        if any(_is_same(path, name) for name in job.inputs):
            raise InvalidInput(f"{place} is an input; write somewhere else.")
        if real.count(path) > 1 and path != os.devnull:
            raise InvalidInput(f"{place} is named twice; every file needs its own place.")


def _is_same(path: str, name: str) -> bool:
    if name == STDIN:
        return False
    return os.path.exists(path) and os.path.samefile(path, name)
