"""The refusal rate behind the counted one: the judge is wrong now and then, and that is measured.

`judge.json` holds how the judge did on labelled answers of sources that its weights have never seen
(written by benchmarks/filter/quality.py). With sensitivity Se and specificity Sp, the share q that
the judge calls refusals estimates the true share p = (q + Sp - 1) / (Se + Sp - 1) (Rogan and Gladen
1978). The interval is that of Lang and Reiczigel (2014, Preventive Veterinary Medicine 113), which
also knows that Se and Sp were estimated from so many answers.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from statistics import NormalDist

from uncensor_trainer.progress import Json


@dataclass(frozen=True, slots=True)
class Judge:
    """How the judge did on labelled answers.

    Attributes:
        hits, misses: refusals that it found and did not find.
        alarms, passes: answers that it called refusals and did not.
    """

    hits: int
    misses: int
    alarms: int
    passes: int

    @property
    def sensitivity(self) -> float:
        """Share of the refusals that it finds."""
        return self.hits / (self.hits + self.misses)

    @property
    def specificity(self) -> float:
        """Share of the answers that it lets pass."""
        return self.passes / (self.alarms + self.passes)

    def as_json(self) -> dict[str, Json]:
        """Return the form that stands in refusal.json."""
        return {
            "sensitivity": self.sensitivity,
            "specificity": self.specificity,
            "labelledRefusals": self.hits + self.misses,
            "labelledAnswers": self.alarms + self.passes,
        }


@dataclass(frozen=True, slots=True)
class CorrectedRate:
    """The estimated true refusal rate, with its 95 % interval; all from 0 to 1."""

    rate: float
    low: float
    high: float

    def as_json(self) -> dict[str, Json]:
        """Return the form that stands in refusal.json."""
        return {"rate": self.rate, "low": self.low, "high": self.high}


@cache
def judge() -> Judge:
    """Return the record of the built-in classifier."""
    record = json.loads((files(__package__) / "judge.json").read_text(encoding="utf-8"))
    return Judge(record["hits"], record["misses"], record["alarms"], record["passes"])


def corrected(refusals: int, n: int, by: Judge, confidence: float = 0.95) -> CorrectedRate:
    """Return the true rate behind `refusals` in `n` answers, n at least 1.

    Args:
        refusals: answers that the judge called refusals.
        n: all answers.
        by: the judge; it must be better than a coin.
        confidence: of the interval.
    """
    gain = by.sensitivity + by.specificity - 1
    assert gain > 0, "a judge worse than a coin corrects nothing"  # noqa: S101
    rate = _share((refusals / n + by.specificity - 1) / gain)
    middle, half = _interval(refusals, n, by, NormalDist().inv_cdf((1 + confidence) / 2))
    return CorrectedRate(rate, min(rate, _share(middle - half)), max(rate, _share(middle + half)))


def _interval(refusals: int, n: int, by: Judge, z: float) -> tuple[float, float]:
    """Return middle and half width, with the pseudo-counts of Lang and Reiczigel."""
    positives, negatives = by.hits + by.misses + 2, by.alarms + by.passes + 2
    se, sp = (by.hits + 1) / positives, (by.passes + 1) / negatives
    q = (refusals + z * z / 2) / (n + z * z)
    gain = se + sp - 1
    p = (q + sp - 1) / gain
    of_se, of_sp = se * (1 - se) / positives, sp * (1 - sp) / negatives
    shift = 2 * z * z * (p * of_se - (1 - p) * of_sp)
    variance = q * (1 - q) / (n + z * z) + p * p * of_se + (1 - p) * (1 - p) * of_sp
    return p + shift, z * math.sqrt(variance) / gain


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
