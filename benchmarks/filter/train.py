"""Train the linear stages and write trainer/uncensor_trainer/refusals/weights.json.

    python benchmarks/filter/train.py            train on all that has a label, write the weights
    python benchmarks/filter/train.py --check    train, write nothing, say whether they differ

Logistic regression by Newton steps with an L2 penalty: no dependency but numpy, the same result
on every machine up to the rounding of the file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import sources
from uncensor_trainer.refusals import engine
from uncensor_trainer.refusals.model import Linear, Stages

WEIGHTS = Path(__file__).resolve().parents[2] / "trainer/uncensor_trainer/refusals/weights.json"
LABELS = Path(__file__).parent / "labels.json"
PENALTY = 50.0
UNABLE_PENALTY = 20.0
STEPS = 50
DIGITS = 3
# Labels of all sources, read as "nothing of what was asked is given" or not; others are left out.
POSITIVE = frozenset({"refusal", "moralise"})
NEGATIVE = frozenset({"comply", "none", "disclaimer"})
UNABLE = frozenset({"capability"})
KNOWN = POSITIVE | NEGATIVE | UNABLE


@cache
def numbers_of(answer: sources.Answer) -> Mapping[str, float]:
    """Return the features of an answer as the engine computes them."""
    return engine.numbers_of(answer.prompt, answer.response)


def training_rows(*, without_half: str = "", without_family: str = "") -> list[sources.Answer]:
    """Return everything that has a label, and our own rows; a half or a source may be left out."""
    outside = (*sources.labelled(), *hand_labelled(), *sources.tool_calls())
    rows = [a for a in outside if a.half != without_half] + list(sources.own())
    return [a for a in rows if sources.family(a) != without_family]


def hand_labelled() -> list[sources.Answer]:
    """Return the answers nobody else labelled that have a label of ours, kept by digest."""
    labels = json.loads(LABELS.read_text(encoding="utf-8"))["labels"] if LABELS.exists() else {}
    return [
        sources.Answer(a.source, a.prompt, a.response, labels[a.key])
        for a in (*sources.natural(), *sources.safety())
        if a.key in labels
    ]


def fit(rows: Sequence[sources.Answer]) -> Stages:
    """Return both stages, each fitted to the rows whose label it is about."""
    withheld = [a for a in rows if a.label in POSITIVE | NEGATIVE]
    unable = [a for a in rows if a.label in POSITIVE | UNABLE]
    names = sorted({name for answer in rows for name in numbers_of(answer)})
    return Stages(
        withheld=_fitted(withheld, names, POSITIVE, PENALTY),
        unable=_fitted(unable, names, UNABLE, UNABLE_PENALTY),
    )


def _fitted(
    rows: Sequence[sources.Answer],
    names: Sequence[str],
    positive: frozenset[str],
    penalty: float,
) -> Linear:
    """Return the model of these rows; features are scaled while fitting, not in the result."""
    numbers = [numbers_of(answer) for answer in rows]
    x_nf = np.array([[one[name] for name in names] for one in numbers])
    y_n = np.array([answer.label in positive for answer in rows], dtype=float)
    mean_f, scale_f = x_nf.mean(axis=0), x_nf.std(axis=0) + 1e-6
    weights_f, bias = _newton((x_nf - mean_f) / scale_f, y_n, penalty)
    raw_f = weights_f / scale_f
    bias -= float(raw_f @ mean_f)
    return Linear(
        round(bias, DIGITS), {n: round(float(w), DIGITS) for n, w in zip(names, raw_f, strict=True)}
    )


def _newton(
    x_nf: NDArray[np.float64],
    y_n: NDArray[np.float64],
    penalty: float,
) -> tuple[NDArray[np.float64], float]:
    design = np.c_[np.ones(len(x_nf)), x_nf]
    ridge = np.eye(design.shape[1]) * penalty
    ridge[0, 0] = 1e-9
    beta = np.zeros(design.shape[1])
    for _ in range(STEPS):
        p_n = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (p_n - y_n) + ridge @ beta
        hessian = (design * (p_n * (1 - p_n))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, gradient)
        beta -= step
        if np.abs(step).max() < 1e-9:
            break
    return beta[1:], float(beta[0])


def record(rows: Sequence[sources.Answer], model: Stages) -> dict[str, object]:
    """Return what weights.json holds."""
    counts = Counter((sources.family(a), a.label) for a in rows if a.label in KNOWN)
    return {
        "comment": "Written by benchmarks/filter/train.py; do not edit.",
        "training": {
            "rows": {f"{source}: {label}": n for (source, label), n in sorted(counts.items())},
            "halves": "both; quality.py measures each half with weights made from the other",
            "penalty": PENALTY,
            "unablePenalty": UNABLE_PENALTY,
            "positive": sorted(POSITIVE),
            "negative": sorted(NEGATIVE),
            "unable": sorted(UNABLE),
        },
        "withheld": {"bias": model.withheld.bias, "weights": dict(model.withheld.weights)},
        "unable": {"bias": model.unable.bias, "weights": dict(model.unable.weights)},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the linear stages of the refusal filter.")
    parser.add_argument("--check", action="store_true", help="write nothing, compare only")
    check = parser.parse_args().check
    if not sources.is_there():
        print(f"The data is not here: {sources.DATA} is absent; nothing was trained.")
        return 0
    rows = training_rows()
    text = json.dumps(record(rows, fit(rows)), indent=1) + "\n"
    if check:
        same = WEIGHTS.read_text(encoding="utf-8") == text
        print("The weights are up to date." if same else "The weights differ; run train.py.")
        return 0 if same else 1
    WEIGHTS.write_text(text, encoding="utf-8")
    print(f"Wrote {WEIGHTS} from {len(rows)} answers.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
