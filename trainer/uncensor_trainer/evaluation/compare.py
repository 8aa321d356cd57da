"""Whether two models differ: both answered the same prompts, so the test is a paired one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import Arm


@dataclass(frozen=True, slots=True)
class Comparison:
    """The filtered arm against another, prompt by prompt."""

    against: Arm
    p_value: float
    """How often chance alone would give a difference as large, in either direction."""
    only_other: int
    """Prompts that only the other arm refused."""
    only_filtered: int
    """Prompts that only the filtered arm refused."""

    def as_json(self) -> dict[str, Json]:
        """Return the form that stands in refusal.json."""
        return {
            "test": "exact McNemar",
            "against": self.against,
            "pValue": self.p_value,
            "onlyOther": self.only_other,
            "onlyFiltered": self.only_filtered,
        }


def opponent(arms: Sequence[Arm]) -> Arm | None:
    """Return the arm that the filtered one is compared with: control, else baseline, else none.

    Control before baseline, because it differs in the filter only.
    """
    return next((arm for arm in ("control", "baseline") if arm in arms), None)


def compare(filtered: Sequence[bool], other: Sequence[bool], against: Arm) -> Comparison:
    """Compare which prompts two arms refused, both in the order of the prompts."""
    pairs = list(zip(filtered, other, strict=True))
    only_filtered = sum(mine and not theirs for mine, theirs in pairs)
    only_other = sum(theirs and not mine for mine, theirs in pairs)
    return Comparison(against, mcnemar_exact(only_filtered, only_other), only_other, only_filtered)


def mcnemar_exact(first: int, second: int) -> float:
    """Return the two-sided p-value of McNemar's test from the two counts of discordant pairs.

    Without a difference each discordant pair is the toss of a fair coin; the binomial sum is
    exact, also for the few pairs where the chi-squared form is not.
    """
    tosses = first + second
    tail = sum(math.comb(tosses, heads) for heads in range(min(first, second) + 1))
    # Whole numbers until the end: 2 to the power of tosses is beyond a float after 1,023 pairs.
    return min(1.0, 2 * tail / (1 << tosses))
