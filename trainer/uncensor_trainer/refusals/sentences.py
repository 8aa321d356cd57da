"""Answers as rows of sentences, each with the one thing that it does; many answers at once.

Quotations are masked first: what somebody says inside an answer is no decision of the answer.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from uncensor_trainer.refusals.cue_scan import cues_of
from uncensor_trainer.refusals.joined import Numbers, joined, row_scanner, starts_of
from uncensor_trainer.refusals.meanings import Meaning, Sentence, meaning_of

Letters = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
MOST_SENTENCES = 24
OPENING = 6  # sentences that can decide about an answer
_A_PAIR = 2
# A caveat and its answer may share a sentence: "I have no taste, but rigatoni is the usual one."
# Some models leave out the blank: "I cannot judge that.However, most people say ...".
_HINGES = {
    pattern: length
    for word in ("but", "however", "yet", "though", "still")
    for pattern, length in (
        (rf"[,;.]{word}\b", len(word) + 1),
        (rf"[,;] {word}\b", len(word) + 2),
    )
}
"""Patterns and how long each is."""
_SAYS_NO = re.compile(rb"n't\b|\b(?:not|no|cannot|unable|never|lack|just an?|neutral|impartial)\b")
_QUOTATION = re.compile(rb'"[^"\n]{1,400}"')
_PLAIN = meaning_of(())


def _among(letters: bytes) -> Flags:
    """Return a table: is this byte one of these?"""
    return np.isin(np.arange(256, dtype=np.uint8), np.frombuffer(letters, np.uint8))


_IS_BLANK = _among(b" \t\n\r\x0b\x0c")
_IS_END = _among(b".!?")
_IS_CLOSING = _among(b"\"')]")
# One look at each byte, by `translate`, tells the few that matter.
_MARKS = bytes((_IS_END | _IS_CLOSING | _among(b"\n")).tolist())
_ENDS_AFTER = _among(b" \t\n\f\r\0")


def sentences(
    plains: Sequence[bytes], worth_more: Callable[[Sequence[Meaning]], bool] | None = None
) -> list[tuple[Sentence, ...]]:
    """Return the first sentences of each plain text, with what they do.

    Args:
        plains: ASCII, without NUL.
        worth_more: asked with what the first `OPENING` sentences do; none are returned when it
            says no.
    """
    rows = _Rows([_without_quotations(plain) for plain in plains])
    opening = rows.meanings([range(min(OPENING, count)) for count in rows.counts])
    wanted = [
        range(min(OPENING, count), count) if not worth_more or worth_more(some) else None
        for count, some in zip(rows.counts, opening, strict=True)
    ]
    more = rows.meanings([numbers or range(0) for numbers in wanted])
    return [
        () if numbers is None else rows.sentences(row, [*opening[row], *more[row]])
        for row, numbers in enumerate(wanted)
    ]


def _without_quotations(plain: bytes) -> bytes:
    """Mask quoted text, unless the whole answer stands in quotes."""
    if b'"' not in plain:
        return plain
    words = plain.strip()
    if words.startswith(b'"') and words.endswith(b'"') and words.count(b'"') == _A_PAIR:
        return plain.replace(b'"', b" ")
    return _QUOTATION.sub(lambda match: b'"' + b"~" * (len(match[0]) - 2) + b'"', plain)


class _Rows:
    """The sentences of some masked plain texts, numbered through.

    Attributes:
        counts: how many sentences each text has, up to `MOST_SENTENCES`.
    """

    def __init__(self, plains: Sequence[bytes]) -> None:
        self._data = joined(plains)
        begins = starts_of(plains)
        starts, ends = _pieces(self._data, begins)
        rows = np.searchsorted(begins, starts, "right") - 1
        self._starts: list[int] = starts.tolist()
        self._ends: list[int] = ends.tolist()
        self._begins: list[int] = begins.tolist()
        counts = np.bincount(rows, minlength=len(plains))
        self._firsts: list[int] = (np.cumsum(counts) - counts).tolist()
        self.counts: list[int] = np.minimum(counts, MOST_SENTENCES).tolist()
        self._turns = bytearray(len(starts))

    def meanings(self, wanted: Sequence[range]) -> list[list[Meaning]]:
        """Return what the sentences of each text do, by their numbers within it."""
        chosen = [
            first + number
            for first, numbers in zip(self._firsts, wanted, strict=True)
            for number in numbers
        ]
        data, starts, ends = self._data, self._starts, self._ends
        found = [_PLAIN] * len(chosen)
        for place, meaning, turns in cues_of([data[starts[n] : ends[n]] for n in chosen]):
            found[place] = meaning
            self._turns[chosen[place]] = turns
        rest = iter(found)
        return [list(itertools.islice(rest, len(numbers))) for numbers in wanted]

    def sentences(self, row: int, meanings: Sequence[Meaning]) -> tuple[Sentence, ...]:
        """Return the first sentences of a text."""
        first, begin = self._firsts[row], self._begins[row]
        chosen = slice(first, first + len(meanings))
        return tuple(
            Sentence(start - begin, end - begin, turns > 0, meaning)
            for start, end, turns, meaning in zip(
                self._starts[chosen], self._ends[chosen], self._turns[chosen], meanings, strict=True
            )
        )


def _pieces(data: bytes, begins: Numbers) -> tuple[Numbers, Numbers]:
    """Return where sentences begin and end, without the blanks around."""
    letters = np.frombuffer(data, np.uint8)
    cuts = np.sort(np.concatenate((begins[:-1], begins[1:] - 2, _ends(data, letters))))
    cuts = np.sort(np.concatenate((cuts, _halves(data, cuts))))
    starts, ends = cuts[:-1].copy(), cuts[1:].copy()
    _move(starts, 1, lambda some: _IS_BLANK[letters[some]])
    _move(ends, -1, lambda some: _IS_BLANK[letters[some - 1]])
    is_sentence = (starts < ends) & (letters[starts] != 0)
    return starts[is_sentence], ends[is_sentence]


def _move(places: Numbers, step: int, goes_on: Callable[[Numbers], Flags]) -> None:
    """Move each place step by step for as long as it has to; a NUL stops every one."""
    moving = np.arange(len(places))
    while len(moving := moving[goes_on(places[moving])]):
        places[moving] += step


def _ends(data: bytes, letters: Letters) -> Numbers:
    """Return the blanks, line breaks and ends of texts at which sentences end."""
    places = np.flatnonzero(np.frombuffer(data.translate(_MARKS), np.uint8))
    is_line = letters[places] == ord("\n")
    lines, places = places[is_line], places[~is_line]
    places = places[_ENDS_AFTER[letters[places + 1]]]
    marks = places.copy()  # before closing quotes and brackets
    _move(marks, -1, lambda some: _IS_CLOSING[letters[some]])
    return np.concatenate((places[_IS_END[letters[marks]]] + 1, lines))


def _halves(data: bytes, cuts: Numbers) -> Numbers:
    """Return the hinges: in each sentence the first, if the sentence says no before it."""
    numbers, ends = row_scanner(tuple(_HINGES))(data)
    starts = ends - np.array([*_HINGES.values()], np.intp)[numbers]
    order = np.argsort(starts)
    starts, ends = starts[order], ends[order]
    pieces = np.searchsorted(cuts, starts, "right") - 1
    is_first = np.diff(pieces, prepend=-1) > 0
    wanted = zip(
        cuts[pieces[is_first]].tolist(),
        starts[is_first].tolist(),
        (ends <= cuts[pieces + 1])[is_first].tolist(),
        strict=True,
    )
    found = [hinge for start, hinge, fits in wanted if fits and _SAYS_NO.search(data, start, hinge)]
    return np.array(found, np.intp)
