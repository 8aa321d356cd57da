"""How good is the filter? Precision, recall, F1 and false positives with intervals.

    python benchmarks/filter/quality.py                  table, and results/filter-quality.json
    python benchmarks/filter/quality.py --half dev       the half that rules were made on
    python benchmarks/filter/quality.py --errors 20      also print the worst errors

"Ours" has weights made from the other half, so that no prompt is in both (the committed weights are
made from both halves); "held out" has weights made without the source they are measured on. The
rules have seen the dev half of every source. The test half of the hand labels is drawn blind
(sample.py). The held-out counts of the test halves also become
trainer/uncensor_trainer/evaluation/judge.json: how often the evaluation's judge is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path

import baselines
import sample
import train

import sources
from uncensor_trainer.refusals.classes import AnswerClass, Verdict
from uncensor_trainer.refusals.engine import HEAD, classify
from uncensor_trainer.refusals.meanings import Kind
from uncensor_trainer.refusals.model import Stages
from uncensor_trainer.refusals.plains import plains
from uncensor_trainer.refusals.sentences import sentences

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "filter-quality.json"
JUDGE = ROOT / "trainer" / "uncensor_trainer" / "evaluation" / "judge.json"
HELD_OUT = "ours, weights held out"
FLAGGED = frozenset({AnswerClass.REFUSAL, AnswerClass.MORALISE, AnswerClass.PLACEHOLDER})
Z = 1.96
Judge = Callable[[sources.Answer], bool]


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one judge on one source: refusal against comply, other labels left out."""

    hits: int
    misses: int
    alarms: int
    passes: int

    def as_json(self) -> dict[str, object]:
        """Return shares from 0 to 1 with Wilson intervals of 95 %."""
        precision = share(self.hits, self.hits + self.alarms)
        recall = share(self.hits, self.hits + self.misses)
        return {
            "rows": self.hits + self.misses + self.alarms + self.passes,
            "precision": precision,
            "precisionInterval": wilson(self.hits, self.hits + self.alarms),
            "recall": recall,
            "recallInterval": wilson(self.hits, self.hits + self.misses),
            "f1": share(2 * self.hits, 2 * self.hits + self.misses + self.alarms),
            "falsePositiveRate": share(self.alarms, self.alarms + self.passes),
            "falsePositiveInterval": wilson(self.alarms, self.alarms + self.passes),
        }


def share(part: int, whole: int) -> float | None:
    """Return a rounded share, or None of nothing."""
    return round(part / whole, 4) if whole else None


def wilson(part: int, whole: int) -> list[float] | None:
    """Return the 95 % interval of a share by Wilson, or None of nothing."""
    if not whole:
        return None
    p, spread = part / whole, Z * Z / whole
    middle = (p + spread / 2) / (1 + spread)
    half = Z * sqrt(p * (1 - p) / whole + spread / (4 * whole)) / (1 + spread)
    return [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]


def score(judge: Judge, answers: Iterable[sources.Answer]) -> Score:
    """Ask a judge about labelled answers."""
    counts = Counter(
        (answer.label in train.POSITIVE, judge(answer))
        for answer in answers
        if answer.label in train.POSITIVE | train.NEGATIVE - {"disclaimer"}
    )
    return Score(
        hits=counts[True, True],
        misses=counts[True, False],
        alarms=counts[False, True],
        passes=counts[False, False],
    )


def ours(weights: Stages) -> Judge:
    """The filter with some weights."""
    return lambda a: classify(a.prompt, a.response, weights=weights).answer_class in FLAGGED


@cache
def of_the_other_half(half: str) -> Stages:
    """Return weights that have seen none of a half's prompts."""
    return train.fit(train.training_rows(without_half=half))


@cache
def of_other_sources(family: str) -> Stages:
    """Return weights that have seen nothing of a source."""
    return train.fit(train.training_rows(without_family=family))


def verdict_of(answer: sources.Answer) -> Verdict:
    """Decide about an answer with weights that have not seen its prompt."""
    return classify(answer.prompt, answer.response, weights=of_the_other_half(answer.half))


def first_cue(answer: sources.Answer) -> bool:
    """The rules without weights: the first decisive sentence of the opening decides."""
    (found,) = sentences([plain.words for plain in plains([answer.response], HEAD)])
    kinds = [sentence.kind for sentence in found[:4]]
    if Kind.OPENER in kinds:
        return False
    return bool(kinds) and (Kind.DECLINE in kinds[:3] or kinds[0] in {Kind.SOFT, Kind.REBUKE})


def judges(family: str, half: str) -> dict[str, Judge]:
    """Return every judge to compare on a half of a source."""
    others = {name: (lambda a, f=f: f(a.response)) for name, f in baselines.BASELINES.items()}
    return {
        "ours": ours(of_the_other_half(half)),
        HELD_OUT: ours(of_other_sources(family)),
        "ours, rules only": first_cue,
        **others,
    }


def by_source(half: str) -> dict[str, dict[str, object]]:
    """Return the scores of all judges by source, XSTest's models apart as well."""
    answers = [a for a in sources.labelled() if a.half == half]
    table: dict[str, dict[str, object]] = {}
    for family in sorted({sources.family(a) for a in answers}):
        mine = [a for a in answers if sources.family(a) == family]
        table[family] = {n: score(j, mine).as_json() for n, j in judges(family, half).items()}
        for source in sorted({a.source for a in mine} - {family}):
            part = [a for a in mine if a.source == source]
            table[source] = {"ours": score(ours(of_the_other_half(half)), part).as_json()}
    return table


def judge_errors(half: str) -> dict[str, object]:
    """Return how often the judge is right where its weights have never seen the source."""
    answers = [a for a in sources.labelled() if a.half == half]
    total = Counter[str]()
    for family in sorted({sources.family(a) for a in answers}):
        mine = [a for a in answers if sources.family(a) == family]
        found = score(ours(of_other_sources(family)), mine)
        total.update(
            {name: getattr(found, name) for name in ("hits", "misses", "alarms", "passes")}
        )
    return {
        "comment": "Written by benchmarks/filter/quality.py; do not edit.",
        "sources": sorted({sources.family(a) for a in answers}),
        **dict(total),
    }


def by_class(half: str) -> dict[str, dict[str, int]]:
    """Return how often a label got a class, over everything that has a label."""
    table: dict[str, Counter[str]] = {}
    for a in (*sources.labelled(), *train.hand_labelled(), *sources.tool_calls()):
        if a.half == half:
            found = verdict_of(a).answer_class.value
            table.setdefault(f"{sources.family(a)}: {a.label}", Counter())[found] += 1
    return {label: dict(counts.most_common()) for label, counts in sorted(table.items())}


def natural(half: str) -> dict[str, object]:
    """Return the share of natural answers by class, precision, and recall estimated by strata.

    Precision counts flagged rows that have a label. Recall weighs each labelled row by how many
    rows of its stratum (what the loosest baseline and a wide word list say, not what we say) stand
    for it; rows without a clear label are left out of both.
    """
    answers = sorted({a.key: a for a in sources.natural() if a.half == half}.values(),
                     key=lambda a: a.key)  # fmt: skip
    found = {a.key: verdict_of(a).answer_class for a in answers}
    labels = {a.key: a.label for a in train.hand_labelled() if a.label != sample.UNCLEAR}
    flagged = [a for a in answers if found[a.key] in FLAGGED - {AnswerClass.PLACEHOLDER}]
    right = [labels[a.key] in train.POSITIVE for a in flagged if a.key in labels]
    return {
        "rows": len(answers),
        "share": {
            name: share(n, len(answers)) for name, n in Counter(found.values()).most_common()
        },
        "flagged": len(flagged),
        "flaggedAndLabelled": len(right),
        "precision": share(sum(right), len(right)),
        "precisionInterval": wilson(sum(right), len(right)),
        "recall": sample.recall(answers, labels, {a.key for a in flagged}),
    }


def worst(half: str, most: int) -> list[tuple[sources.Answer, Verdict]]:
    """Return the surest wrong decisions."""
    wrong = []
    for a in sources.labelled():
        if a.half == half and a.label in {"refusal", "comply"}:
            verdict = verdict_of(a)
            if (a.label == "refusal") != (verdict.answer_class in FLAGGED):
                wrong.append((a, verdict))
    return sorted(wrong, key=lambda pair: -pair[1].score)[:most]


def show(table: dict[str, dict[str, object]]) -> None:
    """Print the scores as a table."""
    print(f"{'source':22} {'judge':24} {'P':>6} {'R':>6} {'F1':>6} {'FPR':>6}  95 % of the FPR")
    for source, scores in table.items():
        for judge, values in scores.items():
            assert isinstance(values, dict)  # noqa: S101
            cells = (
                values["precision"],
                values["recall"],
                values["f1"],
                values["falsePositiveRate"],
            )
            figures = " ".join(f"{v:6.3f}" if v is not None else "     -" for v in cells)
            print(f"{source:22} {judge:24} {figures}  {values['falsePositiveInterval']}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure the quality of the refusal filter.")
    parser.add_argument("--half", choices=("dev", "test"), default="test")
    parser.add_argument("--errors", type=int, default=0, help="print so many of the worst errors")
    chosen = parser.parse_args(arguments)
    if not sources.is_there():
        print(f"Skipped: the data is not on this machine ({sources.DATA} is absent).")
        return 0
    table = by_source(chosen.half)
    show(table)
    found = natural(chosen.half)
    print(json.dumps(found, indent=1))
    for answer, verdict in worst(chosen.half, chosen.errors):
        print(f"{answer.label} -> {verdict.answer_class} ({verdict.rule}, {verdict.score}): "
              f"{answer.prompt[:70]!r} | {answer.response[:160]!r}")  # fmt: skip
    result = {
        "half": chosen.half,
        "bySource": table,
        "labelByClass": by_class(chosen.half),
        "natural": found,
    }
    if chosen.half == "test":
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        JUDGE.write_text(json.dumps(judge_errors("test"), indent=1) + "\n", encoding="utf-8")
        print(f"Wrote {RESULTS} and {JUDGE}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
