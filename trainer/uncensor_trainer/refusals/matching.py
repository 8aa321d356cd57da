"""Which of many patterns occur in a text, in one pass where hyperscan is installed.

RE2 is the reference: without hyperscan the patterns are asked one by one, with the same answer
(tests/refusals/test_engine_matching.py compares them). Both take linear time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType

import numpy as np
import numpy.typing as npt
import re2

from uncensor_trainer.refusals.compiled import database

hyperscan: ModuleType | None
try:
    hyperscan = import_module("hyperscan")
except ImportError:  # no wheel for this platform
    hyperscan = None

Matcher = Callable[[str], tuple[int, ...]]
Places = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Numbers of patterns, and the ends of their matches."""
Scanner = Callable[[bytes], Places]
_MEMORY = 64 << 20  # bytes for one RE2 pattern
_SHIFT = 10  # bits for the number of a pattern; the others tell the end of its match


def matcher(patterns: Sequence[str]) -> Matcher:
    """Return a function from an ASCII text to the sorted numbers of the patterns that occur."""
    return by_hyperscan(tuple(patterns)) if hyperscan else by_re2(tuple(patterns))


@cache
def by_re2(patterns: tuple[str, ...]) -> Matcher:
    """Ask RE2 pattern by pattern."""
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
    return _all_by_hyperscan(tuple(patterns)) if hyperscan else all_by_re2(tuple(patterns))


@cache
def all_by_re2(patterns: tuple[bytes, ...]) -> Scanner:
    """Ask RE2 pattern by pattern."""
    options = _options()
    options.encoding = re2.Options.Encoding.LATIN1
    compiled = [re2.compile(pattern, options) for pattern in patterns]

    def scan(data: bytes) -> Places:
        return _places(
            [n | hit.end() << _SHIFT for n, one in enumerate(compiled) for hit in one.finditer(data)]
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


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    return options
