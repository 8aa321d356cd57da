"""Patterns of the user's own: RE2, so linear in time, with limits on what one may cost."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Protocol

import re2

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.refusals.classes import AnswerClass, Verdict

LONGEST_PATTERN = 2000  # characters
MEMORY = 8 << 20  # bytes that one compiled pattern may take


class UserRule(Protocol):
    """A pattern of the user's own."""

    @property
    def name(self) -> str:
        """Shown in decisions."""
        ...

    @property
    def refusal_class(self) -> str:
        """The class that a match means."""
        ...

    @property
    def pattern(self) -> str:
        """RE2 syntax, matched without regard to case anywhere in the answer."""
        ...


def first_match(rules: Iterable[UserRule], response: str) -> Verdict | None:
    """Return the verdict of the first rule that matches, or None.

    Raises:
        InvalidInput: a pattern is too long, too costly or not valid RE2.
    """
    for rule in rules:
        match = _compiled(rule.name, rule.pattern).search(response)
        if match:
            answer_class = AnswerClass(rule.refusal_class)
            return Verdict(answer_class, rule.name, match.start(), match.end(), 1.0)
    return None


@cache
def _compiled(name: str, pattern: str) -> re2._Regexp:
    if len(pattern) > LONGEST_PATTERN:
        raise InvalidInput(
            f"filter.extraRules: the pattern of {name!r} has {len(pattern)} characters; at most "
            f"{LONGEST_PATTERN} are allowed. Split it into several rules."
        )
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise InvalidInput(
            f"filter.extraRules: the pattern of {name!r} is not valid RE2: {reason}. RE2 has no "
            "look-around and no back-references, and a pattern may not grow beyond "
            f"{MEMORY >> 20} MiB."
        ) from error
