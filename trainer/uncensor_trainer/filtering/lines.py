"""A block of lines: which stay as they are, which go, which change.

Most lines are only screened; the few that may be flagged or are not surely well-formed are read
one by one. Kept lines are never written anew: they leave as runs of the block's own bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from uncensor_trainer.filtering.annotations import row_hash
from uncensor_trainer.filtering.policy import (
    Decision,
    Policy,
    Turn,
    Verdicts,
    decision_of,
    turns_of,
    verdicts_of_many,
)
from uncensor_trainer.filtering.quick import LONGEST_LINE, Sheet, sheet_of
from uncensor_trainer.filtering.rows import (
    BLANK,
    TEXT_KEYS,
    BrokenRow,
    Reading,
    as_line,
    changed,
    reading_of,
    snippet,
)
from uncensor_trainer.filtering.screen import suspicious, suspicious_windows
from uncensor_trainer.filtering.showing import Shown, shown_row
from uncensor_trainer.refusals.joined import Numbers, places_of

_FEW = 8  # lines that are read one by one rather than halved again
_MANY = (
    1024  # lines that are read together; fewer make more calls, more wait longer when one is bad
)
_SCREENED = 8192  # answers that are screened together; a row of a megabyte may hold 30,000


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A row that cannot be read, and where it stands.

    Attributes:
        row, line: 0-based, counted from the beginning of the block.
        offset: byte of the block.
    """

    row: int
    line: int
    offset: int
    reason: str
    snippet: str


@dataclass(slots=True)
class Outcome:
    """What became of the rows of a block.

    Attributes:
        rows, lines: how many there were; blank lines are no rows.
        pieces: what is written, in order: runs of kept lines and changed lines.
        flagged: (row, decision), in order.
        quarantined: in order.
        shown: the flagged rows as a report shows them, if one is wanted.
    """

    rows: int = 0
    lines: int = 0
    pieces: list[bytes | memoryview] = field(default_factory=list)
    flagged: list[tuple[int, Decision]] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes that are written."""
        return sum(map(len, self.pieces))


def filter_lines(block: bytes, policy: Policy) -> Outcome:
    """Return what becomes of a block of whole lines; the last may lack its line feed."""
    places = _bounds(block)
    bounds: list[int] = places.tolist()
    wanted = {first + line: turns for first, line, turns in _to_read(block, places, policy)}
    for line in _dropped_by_hand(block, bounds, policy):
        wanted.setdefault(line, ())
    entries = [
        _entry(number, block[bounds[number] : bounds[number + 1]], wanted[number])
        for number in sorted(wanted)
    ]
    work = _Work(block, bounds, policy, Outcome(lines=len(bounds) - 1))
    verdicts = verdicts_of_many([entry.turns for entry in entries], policy.rules)
    for entry, flagged in zip(entries, verdicts, strict=True):
        work.take(entry, flagged)
    return work.finish()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line that has to be decided about.

    Attributes:
        number: of the line.
        turns: its answers that may be flagged.
        reading: what it says, if that had to be read.
        problem: why it could not be read.
    """

    number: int
    line: bytes
    turns: Sequence[Turn] = ()
    reading: Reading | None = None
    problem: str = ""

    @property
    def is_blank(self) -> bool:
        """There is nothing in it."""
        return not self.line.strip(BLANK)


def _entry(number: int, line: bytes, turns: Iterable[Turn] | None) -> _Entry:
    """Read a line, unless its answers are known, for it is surely well-formed."""
    if turns is not None:
        return _Entry(number, line, tuple(turns))
    if not line.strip(BLANK):
        return _Entry(number, line)
    try:
        reading = reading_of(line)
    except BrokenRow as problem:
        return _Entry(number, line, problem=str(problem))
    return _Entry(number, line, tuple(turns_of(reading.row.messages)), reading)


def _dropped_by_hand(block: bytes, bounds: list[int], policy: Policy) -> Iterator[int]:
    """Yield the lines that a person wants to go; only then is every line hashed."""
    if "drop" in policy.by_hand.values():
        for line, (start, end) in enumerate(itertools.pairwise(bounds)):
            if policy.by_hand.get(row_hash(block[start:end])) == "drop":
                yield line


@dataclass(slots=True)
class _Work:
    block: bytes
    bounds: list[int]
    policy: Policy
    outcome: Outcome
    blanks: int = 0
    """Blank lines before the current one."""
    written: int = 0
    """Bytes of the block that are in a piece or left out."""

    def take(self, entry: _Entry, verdicts: Verdicts) -> None:
        """Decide about one line; those between the last and this one stay."""
        start, end = self.bounds[entry.number], self.bounds[entry.number + 1]
        row = entry.number - self.blanks
        if entry.is_blank:
            self.blanks += 1
            self._replace(start, end, b"")
            return
        try:
            decision, new = self._decision(entry, verdicts)
        except BrokenRow as problem:
            bad = Quarantined(row, entry.number, start, str(problem), snippet(entry.line))
            self.outcome.quarantined.append(bad)
            self._replace(start, end, b"")
            return
        if decision.verdicts or decision.by_hand:
            self.outcome.flagged.append((row, decision))
            if self.policy.shows:
                self.outcome.shown.append(shown_row(row, entry.line, decision))
        if new is not entry.line:
            self._replace(start, end, new)

    def finish(self) -> Outcome:
        """Keep what is left."""
        self._replace(len(self.block), len(self.block), b"")
        self.outcome.rows = self.outcome.lines - self.blanks
        return self.outcome

    def _decision(self, entry: _Entry, verdicts: Verdicts) -> tuple[Decision, bytes]:
        if entry.problem:
            raise BrokenRow(entry.problem)
        line = entry.line
        decision = self._without_reading(line, verdicts)
        if decision is None:
            reading = entry.reading or reading_of(line)
            decision = decision_of(reading.row.messages, verdicts, self.policy)
            if decision.action not in {"drop", "keep"}:
                return decision, as_line(changed(reading, decision), line)
        return decision, b"" if decision.action == "drop" else line

    def _without_reading(self, line: bytes, verdicts: Verdicts) -> Decision | None:
        """Return the decision where a person, or every verdict alike, wants all or nothing."""
        policy = self.policy
        if policy.mode == "audit":
            return Decision("keep", verdicts)
        if policy.by_hand and (action := policy.by_hand.get(row_hash(line))):
            return Decision(action, verdicts, by_hand=True)
        wishes = {policy.actions[verdict.answer_class.value] for _, verdict in verdicts}
        if wishes <= {"keep"} or wishes == {"drop"}:
            return Decision("drop" if "drop" in wishes else "keep", verdicts)
        return None

    def _replace(self, start: int, end: int, new: bytes) -> None:
        if start > self.written:
            self.outcome.pieces.append(memoryview(self.block)[self.written : start])
        if new:
            self.outcome.pieces.append(new)
        self.written = end


def _bounds(block: bytes) -> Numbers:
    """Return where each line begins, and the end of the last."""
    ends = places_of(ord("\n"), block) + 1
    last = [] if not block or block.endswith(b"\n") else [len(block)]
    return np.concatenate(([0], ends, last)).astype(np.intp)


def _to_read(
    block: bytes, bounds: Numbers, policy: Policy
) -> Iterator[tuple[int, int, Iterable[Turn] | None]]:
    """Yield (first line of a range, line in it, its turns) of what has to be read one by one.

    All other lines are plain rows. Turns are None where a line may be malformed.
    """
    ranges = [
        (first, min(first + _MANY, len(bounds) - 1)) for first in range(0, len(bounds) - 1, _MANY)
    ]
    ranges.reverse()
    shape = ""
    while ranges:
        first, end = ranges.pop()
        shape = shape or _shape_of(block, bounds[first : first + 2])
        sheet = _sheet(block, bounds[first : end + 1], shape)
        if sheet is not None:
            yield from ((first, line, turns) for line, turns in _of_sheet(sheet, policy))
        elif end - first <= _FEW:
            yield from ((first, line, None) for line in range(end - first))
            shape = ""  # another format may begin here
        else:
            middle = (first + end) // 2
            ranges += [(middle, end), (first, middle)]


def _shape_of(block: bytes, bounds: Numbers) -> str:
    """Return the format that a line seems to have; readers then make sure."""
    line = block[bounds[0] : bounds[-1]]
    for shape, keys in TEXT_KEYS.items():
        if b'"%s"' % keys[0].encode() in line:
            return shape
    return ""


def _sheet(block: bytes, bounds: Numbers, shape: str) -> Sheet | None:
    """Return the rows of some lines; None when one of them may be malformed."""
    if not shape or np.diff(bounds).max() > LONGEST_LINE:
        return None
    return sheet_of(block[bounds[0] : bounds[-1]], bounds - bounds[0], shape)


def _of_sheet(sheet: Sheet, policy: Policy) -> Iterator[tuple[int, Iterable[Turn] | None]]:
    """Yield the lines of a sheet that may be flagged, with their turns, in order."""
    wanted: dict[int, list[Turn] | None] = {}
    for number, is_anchored in _suspicious(sheet, policy):
        turns = wanted.setdefault(sheet.rows[number], [])
        assert turns is not None  # noqa: S101
        turns.append(sheet.turn(number, is_anchored))
    wanted.update(dict.fromkeys(sheet.dubious))
    for row in sorted(wanted):
        yield row, wanted[row]


def _suspicious(sheet: Sheet, policy: Policy) -> list[tuple[int, bool]]:
    """Return the numbers of the texts that may be flagged answers, and which are anchored."""
    answers = range(len(sheet.texts)) if sheet.answers is None else sheet.answers
    if apart := set(sheet.dubious):
        answers = [number for number in answers if sheet.rows[number] not in apart]
    if not answers:
        return []
    if policy.rules:  # a rule may match anywhere
        return [(number, False) for number in answers]
    starts = range(0, len(answers), _SCREENED)
    some = (_screened(sheet, answers[start : start + _SCREENED]) for start in starts)
    return list(itertools.chain.from_iterable(some))


def _screened(sheet: Sheet, answers: Sequence[int]) -> list[tuple[int, bool]]:
    screened = suspicious_windows(sheet.windows(answers))
    found = screened.suspicious
    if others := sorted(screened.unread - found):
        texts = [sheet.turn(answers[n], False).answer for n in others]
        found |= {others[n] for n in suspicious(texts)}
    return [(answers[n], n in screened.anchored) for n in sorted(found)]
