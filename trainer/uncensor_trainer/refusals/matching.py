"""Which of many patterns occur in a text: by hyperscan, else by RE2, else by pyarrow's RE2.

RE2 is the reference; all three give the same answer (tests/refusals/test_engine_matching.py
compares them) in linear time. A hyperscan that is known to overlook matches counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from uncensor_trainer.refusals.compiled import database

# Found with this pattern and text: releases 0.7.26 to 0.9.1 (Vectorscan) see no match in a long
# text, with an optional word before the alternatives. docs/adr/0038.
_OVERLOOKED = (
    rb"\b(?:i|we)(?:'m| am)? (?:currently |unfortunately |also )?(?:cannot|can't|can not|unable to|"
    rb"not able to|not capable of|don't|do not) (?:access\w*|open\w*)"
)


def _optional(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:  # no wheel for this platform
        return None


def _sees_all(module: ModuleType) -> bool:
    """Tell whether a hyperscan finds what its faulty releases overlook."""
    found: list[int] = []
    scan = database(module, [_OVERLOOKED], 0).scan
    scan(
        b"x" * 300 + b" i'm not able to access it",
        match_event_handler=lambda n, *_: found.append(n),
    )
    return bool(found)


re2 = _optional("re2")
hyperscan = _optional("hyperscan")
if hyperscan and not _sees_all(hyperscan):
    hyperscan = None

Matcher = Callable[[str], tuple[int, ...]]
Places = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Numbers of patterns, and the ends of their matches."""
Scanner = Callable[[bytes], Places]
_MEMORY = 64 << 20  # bytes for one RE2 pattern
_SHIFT = 10  # bits for the number of a pattern; the others tell the end of its match


def matcher(patterns: Sequence[str]) -> Matcher:
    """Return a function from an ASCII text to the sorted numbers of the patterns that occur."""
    if hyperscan:
        return by_hyperscan(tuple(patterns))
    return by_re2(tuple(patterns)) if re2 else by_pyarrow(tuple(patterns))


@cache
def by_pyarrow(patterns: tuple[str, ...]) -> Matcher:
    """Ask the RE2 inside pyarrow, pattern by pattern."""
    contains = import_module("pyarrow.compute").match_substring_regex

    def match(text: str) -> tuple[int, ...]:
        return tuple(n for n, one in enumerate(patterns) if contains(text, pattern=one).as_py())

    return match


@cache
def by_re2(patterns: tuple[str, ...]) -> Matcher:
    """Ask RE2 pattern by pattern."""
    assert re2 is not None  # noqa: S101 - `matcher` asked before
    compiled = [re2.compile(pattern, _options()) for pattern in patterns]

    def match(text: str) -> tuple[int, ...]:
        return tuple(n for n, pattern in enumerate(compiled) if pattern.search(text))

    return match


@cache
def by_hyperscan(patterns: tuple[str, ...]) -> Matcher:
    """Ask hyperscan for all patterns at once."""
    assert hyperscan is not None  # noqa: S101 - `matcher` asked before
    scan = _database([pattern.encode() for pattern in patterns], hyperscan.HS_FLAG_SINGLEMATCH)

    def match(text: str) -> tuple[int, ...]:
        found: list[int] = []
        scan(text.encode("ascii"), match_event_handler=lambda n, *_: found.append(n))
        return tuple(sorted(found))

    return match


def scanner(patterns: Sequence[bytes]) -> Scanner:
    """Return a function from bytes to patterns and ends of matches, for patterns over bytes.

    Hyperscan reports every end, RE2 the ends of matches that do not overlap. So ask only for
    patterns that cannot match across a line or row, and only whether a line has a match; or for
    keys, which have one end each.
    """
    if hyperscan:
        return _all_by_hyperscan(tuple(patterns))
    return all_by_re2(tuple(patterns)) if re2 else all_by_pyarrow(tuple(patterns))


@cache
def all_by_pyarrow(patterns: tuple[bytes, ...]) -> Scanner:
    """Ask the RE2 inside pyarrow, pattern by pattern, for one match after another."""
    pyarrow = import_module("pyarrow")
    extract = import_module("pyarrow.compute").extract_regex
    # It reads UTF-8 only, so bytes travel as the characters of the same number.
    wanted = [f"(?P<match>{one.decode('latin-1')})" for one in patterns]

    def ends_of(text: str, pattern: str) -> Iterator[int]:
        end, before = 0, ""
        # The character before the rest stays, or the rest would begin at a word boundary.
        while found := extract(
            pyarrow.scalar(text[end - len(before) :]),
            pattern=f"(?s)^{'.' * len(before)}(?P<before>.*?){pattern}",
        ).as_py():
            end += len(found["before"]) + len(found["match"])
            before = text[end - 1 : end]
            yield end

    def scan(data: bytes) -> Places:
        text = data.decode("latin-1")
        return _places(
            [n | end << _SHIFT for n, one in enumerate(wanted) for end in ends_of(text, one)]
        )

    return scan


@cache
def all_by_re2(patterns: tuple[bytes, ...]) -> Scanner:
    """Ask RE2 pattern by pattern."""
    assert re2 is not None  # noqa: S101 - `scanner` asked before
    options = _options()
    options.encoding = re2.Options.Encoding.LATIN1
    compiled = [re2.compile(pattern, options) for pattern in patterns]

    def scan(data: bytes) -> Places:
        return _places(
            [
                n | hit.end() << _SHIFT
                for n, one in enumerate(compiled)
                for hit in one.finditer(data)
            ]
        )

    return scan


@cache
def _all_by_hyperscan(patterns: tuple[bytes, ...]) -> Scanner:
    scan_all = _database(patterns, 0)

    def scan(data: bytes) -> Places:
        found: list[int] = []
        append = found.append
        # One number for both: a list of pairs takes longer to read than the data.
        scan_all(data, match_event_handler=lambda n, _from, to, _f, _c: append(n | to << _SHIFT))
        return _places(found)

    return scan


def _places(found: list[int]) -> Places:
    table = np.array(found, np.intp)
    return table & ((1 << _SHIFT) - 1), table >> _SHIFT


def _database(patterns: Sequence[bytes], flag: int) -> Callable[..., None]:
    assert hyperscan is not None  # noqa: S101 - the callers asked
    scan: Callable[..., None] = database(hyperscan, patterns, flag).scan
    return scan


def _options() -> Any:
    assert re2 is not None  # noqa: S101 - the callers asked
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return options
