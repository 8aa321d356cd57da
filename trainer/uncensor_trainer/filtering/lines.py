"""A block of lines: which stay as they are, which go, which change.

Most lines are only screened; the few that may be flagged or are not surely well-formed are read
one by one. Kept lines are never written anew: they leave as runs of the block's own bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from uncensor_trainer.filtering.policy import Decision, Policy, decide, without_caveats
from uncensor_trainer.filtering.quick import LONGEST_LINE, answers_of
from uncensor_trainer.filtering.rows import (
    BLANK,
    TEXT_KEYS,
    BrokenRow,
    as_line,
    changed,
    reading_of,
    snippet,
)
from uncensor_trainer.filtering.screen import suspicious
from uncensor_trainer.refusals.user_rules import first_match

_FEW = 8  # lines that are read one by one rather than halved again


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
        texts: the new texts of changed rows: row, then turn.
        quarantined: in order.
    """

    rows: int = 0
    lines: int = 0
    pieces: list[bytes | memoryview] = field(default_factory=list)
    flagged: list[tuple[int, Decision]] = field(default_factory=list)
    texts: dict[int, dict[int, str]] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes that are written."""
        return sum(map(len, self.pieces))


def filter_lines(block: bytes, policy: Policy) -> Outcome:
    """Return what becomes of a block of whole lines; the last may lack its line feed."""
    bounds = _bounds(block)
    work = _Work(block, bounds, policy, Outcome(lines=len(bounds) - 1))
    # A conversation may be suspicious in several turns.
    for line in sorted(set(_to_read(block, bounds, policy))):
        work.read(line)
    return work.finish()


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

    def read(self, number: int) -> None:
        """Decide about one line; those between the last and this one stay."""
        start, end = self.bounds[number], self.bounds[number + 1]
        line = self.block[start:end]
        row = number - self.blanks
        if not line.strip(BLANK):
            self.blanks += 1
            self._replace(start, end, b"")
            return
        try:
            decision, new = self._decision(row, line)
        except BrokenRow as problem:
            self.outcome.quarantined.append(
                Quarantined(row, number, start, str(problem), snippet(line))
            )
            self._replace(start, end, b"")
            return
        if decision.verdicts:
            self.outcome.flagged.append((row, decision))
        if new != line:
            self._replace(start, end, new)

    def finish(self) -> Outcome:
        """Keep what is left."""
        self._replace(len(self.block), len(self.block), b"")
        self.outcome.rows = self.outcome.lines - self.blanks
        return self.outcome

    def _decision(self, row: int, line: bytes) -> tuple[Decision, bytes]:
        reading = reading_of(line)
        decision = decide(reading.row.messages, self.policy)
        if decision.action == "drop":
            return decision, b""
        if decision.action == "keep":
            return decision, line
        texts = without_caveats(reading.row.messages, decision, self.policy)
        if not texts:  # the remark is all there is
            return Decision("keep", decision.verdicts), line
        self.outcome.texts[row] = texts
        return decision, as_line(changed(reading, texts), line)

    def _replace(self, start: int, end: int, new: bytes) -> None:
        if start > self.written:
            self.outcome.pieces.append(memoryview(self.block)[self.written : start])
        if new:
            self.outcome.pieces.append(new)
        self.written = end


def _bounds(block: bytes) -> list[int]:
    """Return where each line begins, and the end of the last."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + 1
    bounds: list[int] = [0, *ends.tolist()]
    return bounds if bounds[-1] == len(block) else [*bounds, len(block)]


def _to_read(block: bytes, bounds: list[int], policy: Policy) -> Iterable[int]:
    """Yield the lines that have to be read one by one; all others are plain rows."""
    ranges = [(0, len(bounds) - 1)]
    shape = ""
    while ranges:
        first, end = ranges.pop()
        shape = shape or _shape_of(block, bounds[first : first + 2])
        found = _screened(block, bounds[first : end + 1], shape, policy)
        if found is not None:
            yield from (first + line for line in found)
        elif end - first <= _FEW:
            yield from range(first, end)
            shape = ""  # another format may begin here
        else:
            middle = (first + end) // 2
            ranges += [(middle, end), (first, middle)]


def _shape_of(block: bytes, bounds: list[int]) -> str:
    """Return the format that a line seems to have; readers then make sure."""
    line = block[bounds[0] : bounds[-1]]
    for shape, keys in TEXT_KEYS.items():
        if b'"%s"' % keys[0].encode() in line:
            return shape
    return ""


def _screened(block: bytes, bounds: list[int], shape: str, policy: Policy) -> list[int] | None:
    """Return which of some lines may be flagged; None when one of them may be malformed."""
    longest = max(map(int.__sub__, bounds[1:], bounds), default=0)
    if not shape or longest > LONGEST_LINE:
        return None
    answers = answers_of(block[bounds[0] : bounds[-1]], len(bounds) - 1, shape)
    if answers is None:
        return None
    numbers = suspicious(answers.texts)
    if policy.rules:
        texts = enumerate(answers.texts)
        numbers |= {n for n, text in texts if first_match(policy.rules, text)}
    if answers.rows is None:
        return list(numbers)
    return [answers.rows[number] for number in numbers]
