"""The linear stage: one weight a feature, trained by benchmarks/filter/train.py.

The weights are data (`weights.json`, with the record of their training); the features are read
from the rules' cues, so a decision still names the rule and the place that it rests on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp


@dataclass(frozen=True, slots=True)
class Linear:
    """A logistic model.

    Attributes:
        bias: log-odds of an answer without any feature.
        weights: log-odds that one unit of a feature adds.
    """

    bias: float
    weights: Mapping[str, float]

    def probability(self, numbers: Mapping[str, float]) -> float:
        """Return how likely it is that nothing of what was asked is given, 0 to 1."""
        odds = self.bias + sum(w * numbers.get(name, 0.0) for name, w in self.weights.items())
        return 1 / (1 + exp(-max(-50.0, min(50.0, odds))))


@cache
def linear() -> Linear:
    """Return the committed weights."""
    record = json.loads((files(__package__) / "weights.json").read_text(encoding="utf-8"))
    return Linear(float(record["bias"]), record["weights"])
