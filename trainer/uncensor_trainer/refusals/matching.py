"""Which of many patterns occur in a text, in one pass where hyperscan is installed.

RE2 is the reference: without hyperscan the patterns are asked one by one, with the same answer
(tests/refusals/test_engine_matching.py compares them). Both take linear time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType

import re2

hyperscan: ModuleType | None
try:
    hyperscan = import_module("hyperscan")
except ImportError:  # no wheel for this platform
    hyperscan = None

Matcher = Callable[[str], tuple[int, ...]]
_MEMORY = 64 << 20  # bytes for one RE2 pattern


def matcher(patterns: Sequence[str]) -> Matcher:
    """Return a function from an ASCII text to the sorted numbers of the patterns that occur."""
    return by_hyperscan(tuple(patterns)) if hyperscan else by_re2(tuple(patterns))


@cache
def by_re2(patterns: tuple[str, ...]) -> Matcher:
    """Ask RE2 pattern by pattern."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    compiled = [re2.compile(pattern, options) for pattern in patterns]

    def match(text: str) -> tuple[int, ...]:
        return tuple(n for n, pattern in enumerate(compiled) if pattern.search(text))

    return match


@cache
def by_hyperscan(patterns: tuple[str, ...]) -> Matcher:
    """Ask hyperscan for all patterns at once."""
    assert hyperscan is not None  # noqa: S101 - `matcher` asked before
    database = hyperscan.Database()
    database.compile(
        expressions=[pattern.encode() for pattern in patterns],
        ids=list(range(len(patterns))),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH] * len(patterns),
    )

    def match(text: str) -> tuple[int, ...]:
        found: list[int] = []
        database.scan(text.encode("ascii"), match_event_handler=lambda n, *_: found.append(n))
        return tuple(sorted(found))

    return match
