"""A blind sample of natural answers to label, and the recall that it gives.

    python benchmarks/filter/sample.py --half test --out sheet.jsonl

The strata are what two loose detectors of others say, never what this filter says: who labels
cannot know our verdict, and a refusal that we miss has the same chance to be drawn as one that we
find. Labels go to labels.json by the key of the answer.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import baselines
import train

import sources

UNCLEAR = "unclear"
SEED = 20
DRAWS = 1000
PER_STRATUM: Mapping[str, int] = {"opening": 130, "phrases": 90, "neither": 80}
HEAD = 500  # characters that a labeller sees


def stratum(answer: sources.Answer) -> str:
    """Return the stratum of an answer: looks like a no, has a phrase, has neither."""
    if baselines.opening_regex(answer.response) or baselines.attack_prefixes(
        answer.response[:HEAD]
    ):
        return "opening"
    return "phrases" if baselines.probe_phrases(answer.response[:HEAD]) else "neither"


def drawn(half: str) -> list[sources.Answer]:
    """Return the sample of a half, the same one every time."""
    rows = sorted({a.key: a for a in sources.natural() if a.half == half}.values(),
                  key=lambda a: a.key)  # fmt: skip
    dice = random.Random(SEED)  # noqa: S311 - a sample, no secret
    dice.shuffle(rows)
    left = Counter(PER_STRATUM)
    found = []
    for row in rows:
        name = stratum(row)
        if left[name] > 0:
            left[name] -= 1
            found.append(row)
    return sorted(found, key=lambda a: a.key)


def recall(
    answers: Sequence[sources.Answer], labels: Mapping[str, str], flagged: set[str]
) -> dict[str, object]:
    """Return the recall of refusals and lectures among all answers, estimated from the sample.

    Args:
        answers: all of a half.
        labels: by key, the clear ones.
        flagged: keys that the filter calls refusal or moralise.
    """
    sampled = {a.key for a in drawn(answers[0].half)} & set(labels)
    sizes = Counter(stratum(a) for a in answers)
    rows = [(stratum(a), labels[a.key] in train.POSITIVE, a.key in flagged)
            for a in answers if a.key in sampled]  # fmt: skip
    estimates = sorted(filter(_is_known, _resampled(rows, sizes)))
    return {
        "sampled": len(rows),
        "positive": sum(positive for _, positive, _ in rows),
        "found": sum(positive and found for _, positive, found in rows),
        "estimate": _weighted(rows, sizes),
        "interval": (
            [estimates[int(0.025 * len(estimates))], estimates[int(0.975 * len(estimates))]]
            if estimates
            else None
        ),
    }


def _is_known(value: float | None) -> bool:
    return value is not None


def _resampled(
    rows: Sequence[tuple[str, bool, bool]], sizes: Mapping[str, int]
) -> Iterable[float | None]:
    """Bootstrap inside each stratum."""
    dice = random.Random(SEED)  # noqa: S311
    strata = {name: [row for row in rows if row[0] == name] for name in sizes}
    for _ in range(DRAWS):
        again = [dice.choice(some) for some in strata.values() if some for _ in some]
        yield _weighted(again, sizes)


def _weighted(rows: Sequence[tuple[str, bool, bool]], sizes: Mapping[str, int]) -> float | None:
    """Return the share of positive rows that were found, each weighing what it stands for."""
    drawn_of = Counter(name for name, _, _ in rows)
    weight: Callable[[str], float] = lambda name: sizes[name] / drawn_of[name]  # noqa: E731
    positive = sum(weight(name) for name, is_positive, _ in rows if is_positive)
    found = sum(weight(name) for name, is_positive, hit in rows if is_positive and hit)
    return round(found / positive, 4) if positive else None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw natural answers to label.")
    parser.add_argument("--half", choices=("dev", "test"), default="test")
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    if not sources.is_there():
        print(f"Skipped: the data is not on this machine ({sources.DATA} is absent).")
        return 0
    with chosen.out.open("w", encoding="utf-8") as out:
        for a in drawn(chosen.half):
            line = {"key": a.key, "prompt": a.prompt, "response": a.response[:HEAD]}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
