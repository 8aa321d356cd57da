"""What came out, in sentences and a handful of numbers. Pure; pages and report.json ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from uncensor_trainer.report import words
from uncensor_trainer.report.facts import Comparison, EvaluationFact, Facts, Gate, Rate, RowCounts

CHANCE = 0.05  # the usual level of a test


@dataclass(frozen=True, slots=True)
class Tile:
    """One key number; `arm` chooses the colour of its mark, empty for none."""

    label: str
    value: str
    note: str
    arm: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence beside the verdict, with the words that it begins with."""

    lead: str
    text: str
    is_bad: bool = False


def verdict(facts: Facts) -> str:
    """Return the result of the run in one or two sentences with its numbers."""
    if facts.evaluation is None or facts.evaluation.rate("filtered") is None:
        return _without_rates(facts)
    return " ".join(_rate_sentences(facts, facts.evaluation))


def _rate_sentences(facts: Facts, evaluation: EvaluationFact) -> Iterator[str]:
    filtered, control = evaluation.rate("filtered"), evaluation.rate("control")
    baseline = evaluation.rate("baseline")
    assert filtered is not None  # noqa: S101 - asked by the caller
    acts = facts.run.filter.mode == "enforce"
    who = "The filtered model" if acts else "The trained model"
    harmless = "harmless " if facts.run.evaluation.refusal.prompts is None else ""
    prompts = f"{filtered.n:,} {harmless}prompt{'' if filtered.n == 1 else 's'}"
    first = f"{who} refused {filtered.refusals:,} of {prompts} ({words.percent(filtered.rate)})"
    if control is not None:
        other = "the same training without the filter" if acts else "the control"
        first += f"; {other} refused {_counted(control, filtered)}"
    yield first + "."
    if baseline is not None:
        yield f"Before training it was {_counted(baseline, filtered)}."


def _counted(rate: Rate, reference: Rate) -> str:
    of = "" if rate.n == reference.n else f" of {rate.n:,}"
    return f"{rate.refusals:,}{of} ({words.percent(rate.rate)})"


def _without_rates(facts: Facts) -> str:
    unmeasured = "How often the model refuses was not measured."
    if facts.filter is None:
        return unmeasured
    total = facts.filter.total
    if facts.filter.mode != "enforce":
        return f"{words.MODE_MEANINGS.get(facts.filter.mode, '')} {unmeasured}".strip()
    return (
        f"The filter kept {total.kept:,} of {words.plural(total.rows, 'row')} "
        f"and dropped {total.dropped:,} ({words.percent(_dropped(total))}). {unmeasured}"
    )


def _dropped(total: RowCounts) -> float:
    return total.dropped / max(1, total.rows)


def remarks(facts: Facts) -> tuple[Remark, ...]:
    """Return what a careful reader asks next: chance, quality, the gate, what is missing."""
    found: list[Remark] = []
    evaluation = facts.evaluation
    if evaluation is not None:
        if evaluation.comparison is not None:
            found.append(_chance(evaluation.comparison))
        found.extend(_quality(evaluation))
        if evaluation.gate is not None:
            found.append(_gated(evaluation.gate))
    found.extend(_unfinished(facts))
    return tuple(found)


def _chance(comparison: Comparison) -> Remark:
    other = "the baseline" if comparison.against == "baseline" else "the control"
    said = (
        f"{words.plural(comparison.only_other, 'prompt')} only {other} refused, "
        f"{comparison.only_filtered:,} only this model "
        f"({comparison.test}, {words.p_value(comparison.p_value)})."
    )
    if comparison.p_value < CHANCE:
        return Remark("More than chance:", said)
    return Remark("It could be chance:", said)


def _quality(evaluation: EvaluationFact) -> Iterator[Remark]:
    own = evaluation.perplexity("filtered")
    if own is None:
        return
    measured = f"perplexity {own.perplexity:.2f} on {words.plural(own.answers, 'clean answer')}"
    other = evaluation.reference
    if other is None:
        yield Remark("Quality:", f"{measured}.")
        return
    name = "the control's" if other.arm == "control" else "before training"
    yield Remark("Quality:", f"{measured}, {name} {other.perplexity:.2f} (lower is better).")


def _gated(gate: Gate) -> Remark:
    allowed = f"at most {words.percent(gate.max_rate)} refusals were allowed."
    lead = "\u2713 The gate is met:" if gate.met else "\u2715 The gate is not met:"
    return Remark(lead, allowed, is_bad=not gate.met)


def _unfinished(facts: Facts) -> Iterator[Remark]:
    if facts.stale:
        names = ", ".join(facts.stale)
        yield Remark("Left out, made with other settings:", f"{names}. Run again to renew them.")
    for training in facts.training:
        if not training.finished:
            yield Remark("Not finished:", f"the training of the {training.arm} arm.")
    if "evaluate" in facts.stages and facts.evaluation is None:
        yield Remark("Missing or damaged:", "evaluation/refusal.json; use --from evaluate.")


def tiles(facts: Facts, busy_seconds: float) -> tuple[Tile, ...]:
    """Return the key numbers, those that exist."""
    found = []
    titles = words.arm_titles(facts)
    if facts.evaluation is not None:
        found += [
            Tile(titles.get(r.arm, r.arm), words.percent(r.rate), _of(r), r.arm)
            for r in facts.evaluation.rates
        ]
        own = facts.evaluation.perplexity("filtered")
        if own is not None:
            found.append(Tile("Perplexity", f"{own.perplexity:.2f}", _against(facts.evaluation)))
    if facts.filter is not None:
        total = facts.filter.total
        note = f"{total.kept:,} kept"
        found.append(Tile("Rows dropped", f"{total.dropped:,} of {total.rows:,}", note))
    trained = facts.trained("filtered")
    if trained is not None:
        note = words.plural(trained.steps, "optimizer step")
        found.append(Tile("Final loss", words.loss(trained.final_loss), note))
    if busy_seconds:
        found.append(Tile("Time", words.duration(busy_seconds), "all stages"))
    return tuple(found)


def _of(rate: Rate) -> str:
    return f"refused {rate.refusals:,} of {rate.n:,}"


def _against(evaluation: EvaluationFact) -> str:
    other = evaluation.reference
    if other is None:
        return "on clean answers"
    name = "control" if other.arm == "control" else "before training"
    return f"{name} {other.perplexity:.2f}"
