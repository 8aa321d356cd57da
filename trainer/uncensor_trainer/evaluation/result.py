"""From what the arms did to refusal.json: pure, so that tests need no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from uncensor_trainer.evaluation import corrected
from uncensor_trainer.evaluation.compare import Comparison, compare, opponent
from uncensor_trainer.evaluation.perplexity import Perplexity
from uncensor_trainer.evaluation.refusal_rate import REFUSALS, RefusalRate, rate_of
from uncensor_trainer.progress import Json
from uncensor_trainer.refusals.classes import AnswerClass
from uncensor_trainer.refusals.engine import classify
from uncensor_trainer.runfile import Arm


@dataclass(frozen=True, slots=True)
class Findings:
    """What one arm did, prompt by prompt, and its perplexity on the reference answers."""

    responses: Sequence[str]
    classes: Sequence[AnswerClass]
    perplexity: Perplexity

    @property
    def refused(self) -> list[bool]:
        """Whether each prompt was refused."""
        return [name in REFUSALS for name in self.classes]


@dataclass(frozen=True, slots=True)
class Gate:
    """The refusal rate that the filtered arm may have at most."""

    max_refusal_rate: float
    rate: float

    @property
    def met(self) -> bool:
        """Whether the rate is not above the limit; the estimate decides, not its interval."""
        return self.rate <= self.max_refusal_rate

    def as_json(self) -> dict[str, Json]:
        """Return the form that stands in refusal.json."""
        return {"maxRefusalRate": self.max_refusal_rate, "met": self.met}


@dataclass(frozen=True, slots=True)
class Result:
    """The arms side by side."""

    rates: dict[Arm, RefusalRate]
    comparison: Comparison | None
    """None when there is no arm to compare with."""
    perplexities: dict[Arm, Perplexity]
    ratio: float | None
    """Perplexity of the filtered arm over the other's; None when the two do not compare."""
    gate: Gate | None

    def as_json(self) -> dict[str, Json]:
        """Return the form that stands in refusal.json."""
        return {
            "arms": {arm: rate.as_json() for arm, rate in self.rates.items()},
            "comparison": self.comparison.as_json() if self.comparison else None,
            "perplexity": {arm: value.as_json() for arm, value in self.perplexities.items()},
            "perplexityRatio": self.ratio,
            "gate": self.gate.as_json() if self.gate else None,
            "judge": corrected.judge().as_json(),
        }

    def summary(self) -> dict[str, Json]:
        """Return the few numbers that stage.json shows."""
        return {
            "rates": {arm: rate.rate for arm, rate in self.rates.items()},
            "perplexity": {arm: value.perplexity for arm, value in self.perplexities.items()},
            "gate": self.gate.as_json() if self.gate else None,
        }


def judge(prompts: Sequence[str], responses: Sequence[str]) -> list[AnswerClass]:
    """Return the class of every answer.

    The built-in rules alone decide, not the run's extra ones: rates of two runs must compare.
    """
    pairs = zip(prompts, responses, strict=True)
    return [classify(prompt, response).answer_class for prompt, response in pairs]


def assess(findings: Mapping[Arm, Findings], max_refusal_rate: float | None) -> Result:
    """Return rates, test, perplexities and gate of arms that answered the same prompts."""
    filtered = findings["filtered"]
    rates = {arm: rate_of(found.classes) for arm, found in findings.items()}
    against = opponent(list(findings))
    return Result(
        rates=rates,
        comparison=(
            compare(filtered.refused, findings[against].refused, against) if against else None
        ),
        perplexities={arm: found.perplexity for arm, found in findings.items()},
        ratio=_ratio(filtered.perplexity, findings[against].perplexity) if against else None,
        gate=(None if max_refusal_rate is None else Gate(max_refusal_rate, rates["filtered"].rate)),
    )


def _ratio(filtered: Perplexity, other: Perplexity) -> float | None:
    """Perplexity is per token: models that cut text into other tokens do not compare."""
    if filtered.tokens != other.tokens:
        return None
    return filtered.perplexity / other.perplexity
