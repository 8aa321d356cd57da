"""The two linear stages: one weight a feature, trained by benchmarks/filter/train.py.

The first asks whether anything of what was asked is given; the second, where nothing is, whether
the answer *cannot* (a tool, an input, live data is missing) rather than *will not*. The weights
are data (`weights.json`, with the record of their training); the features are read from the rules'
cues, so a decision still names the rule and the place that it rests on.
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
        """Return how likely the stage says yes, 0 to 1."""
        odds = self.bias + sum(
            self.weights.get(name, 0.0) * number for name, number in numbers.items()
        )
        return 1 / (1 + exp(-max(-50.0, min(50.0, odds))))


@dataclass(frozen=True, slots=True)
class Stages:
    """Both stages.

    Attributes:
        withheld: nothing of what was asked is given.
        unable: nothing is given because something is missing.
    """

    withheld: Linear
    unable: Linear


@cache
def stages() -> Stages:
    """Return the committed weights."""
    record = json.loads((files(__package__) / "weights.json").read_text(encoding="utf-8"))
    return Stages(**{name: _linear(record[name]) for name in Stages.__dataclass_fields__})


def _linear(record: Mapping[str, object]) -> Linear:
    bias, weights = record["bias"], record["weights"]
    assert isinstance(bias, float)  # noqa: S101 - our own file
    assert isinstance(weights, dict)  # noqa: S101
    return Linear(bias, weights)
