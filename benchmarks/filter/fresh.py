"""Precision and recall on natural answers that nobody has tuned on: English MOSS.

    python benchmarks/filter/fresh.py

Labelled once and blind (`labels-moss.json`): everything that the filter called refusal or moralise
on 2026-11-27, and a sample by strata that do not depend on the filter. Refusals are more frequent
in MOSS than in most data, which flatters precision. Who tunes on these rows must find others.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import sample
import train
from quality import FLAGGED, wilson

import sources
from uncensor_trainer.refusals.engine import classify_many

LABELS = Path(__file__).parent / "labels-moss.json"
RESULT = Path(__file__).parents[1] / "results" / "filter-fresh.json"
PER_STRATUM = {"opening": 45, "phrases": 30, "neither": 25}
SEED = 38
LEFT_OUT = frozenset({"unclear", "partial"})


def drawn(answers: Sequence[sources.Answer]) -> dict[str, str]:
    """Return the stratum of each sampled answer, by key; the same sample every time."""
    shuffled = list(answers)
    random.Random(SEED).shuffle(shuffled)  # noqa: S311 - a sample, no secret
    left = Counter(PER_STRATUM)
    found = {}
    for answer in shuffled:
        name = sample.stratum(answer)
        if left[name] > 0:
            left[name] -= 1
            found[answer.key] = name
    return found


def figures() -> dict[str, object]:
    """Return what the filter finds, weighed by the labels."""
    answers = sorted({a.key: a for a in sources.moss()}.values(), key=lambda a: a.key)
    labels = json.loads(LABELS.read_text(encoding="utf-8"))["labels"]
    verdicts = classify_many([(a.prompt, a.response) for a in answers])
    pairs = zip(answers, verdicts, strict=True)
    flagged = {a.key for a, verdict in pairs if verdict.answer_class in FLAGGED}
    read = [labels[key] for key in flagged if key in labels]
    clear = [label for label in read if label not in LEFT_OUT]
    right = sum(label in train.POSITIVE for label in clear)
    sizes = Counter(map(sample.stratum, answers))
    positive = [(k, s) for k, s in drawn(answers).items() if labels[k] in train.POSITIVE]
    weights = {key: sizes[name] / PER_STRATUM[name] for key, name in positive}
    return {
        "answers": len(answers),
        "flagged": len(flagged),
        "flagged without a label": len(flagged) - len(read),
        "right": right,
        "clear": len(clear),
        "precision": right / len(clear),
        "precisionInterval": wilson(right, len(clear)),
        "precision, unclear and partial counted as wrong": right / len(read),
        "positive in the sample": len(positive),
        "of them found": sum(key in flagged for key, _ in positive),
        "recall": sum(w for k, w in weights.items() if k in flagged) / sum(weights.values()),
    }


def main() -> int:
    if not sources.is_there():
        print(f"Skipped: the data is not on this machine ({sources.DATA} is absent).")
        return 0
    found = figures()
    text = json.dumps(found, indent=1)
    print(text)
    RESULT.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
