"""A quick look for phrases of other languages: in text that is only folded, not yet plain.

Plain text costs a pass through `re`; most answers are English and hold no such phrase. The patterns
here find whatever the exact ones find in plain text, and perhaps more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from uncensor_trainer.refusals.matching import Scanner, scanner

_START = r"(?:^|\x00|''')[\s>#]*"
# `plain_text` drops quote marks and collapses blanks; a fence in front of the opening goes too.
_BLANKS = r"[\s>#]+"
_WITHOUT_LINES = bytes.maketrans(b"\n`", b" '")


def one_line(folded: bytes) -> bytes:
    """Return folded text without what `plain_text` drops within a line."""
    return folded.translate(_WITHOUT_LINES, b"*_")


def loosened(pattern: str) -> str:
    """Return a pattern over plain text so that it finds the same in text that is only folded."""
    pattern = re.sub(r"(?<![\\\[])\^", lambda _: _START, pattern)
    pattern = pattern.replace(" ?", "\0").replace(r"\s?", "\0").replace(" ", _BLANKS)
    return pattern.replace("\0", r"[\s>#]*")


@cache
def phrase_scanner(patterns: Sequence[str]) -> Scanner:
    """Return a scanner of `one_line` bytes for patterns of plain text."""
    return scanner([loosened(pattern).encode() for pattern in patterns])
