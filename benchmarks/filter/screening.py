"""Does the fast path decide as `classify` does, row by row, over all data that there is?

    .venv/bin/python benchmarks/filter/screening.py [--every 1]

Every answer of ../shared/data and of the bundled data becomes a line, the lines go through
`filter_lines`, and each decision is compared with that of the classifier asked alone. Prints what
passes the screen; exit code 1 when a decision differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import sources
from uncensor_trainer.filtering.lines import filter_lines
from uncensor_trainer.filtering.policy import Policy
from uncensor_trainer.refusals.engine import classify

BUNDLED = Path(__file__).parents[2] / "trainer/uncensor_trainer/bundled"
BLOCK = 500  # rows


def pairs(every: int) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield (source, pairs of instruction and answer)."""
    for path in sorted(BUNDLED.glob("*.alpaca.json")):
        rows = json.loads(path.read_text(encoding="utf-8"))
        yield path.name, [(row["instruction"], row["output"]) for row in rows][::every]
    if not sources.is_there():
        return
    for path in sorted((sources.DATA / "refusal").glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        yield path.name, [(row["prompt"], row["response"]) for row in rows][::every]
    for path in sorted((sources.DATA / "instruct").glob("*.alpaca.json")):
        rows = json.loads(path.read_text(encoding="utf-8"))
        yield path.name, [(row["instruction"], row["output"]) for row in rows][::every]


def differences(asked: list[tuple[str, str]], *, ascii_only: bool) -> int:
    """Return in how many rows the fast path and the classifier differ."""
    policy = Policy(mode="audit")
    count = 0
    for first in range(0, len(asked), BLOCK):
        some = asked[first : first + BLOCK]
        rows = ({"instruction": q, "output": a} for q, a in some)
        lines = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
        outcome = filter_lines(lines.encode(), policy)
        fast = {row: decision.verdicts[0][1] for row, decision in outcome.flagged}
        bad = {quarantined.row for quarantined in outcome.quarantined}
        for row, (question, answer) in enumerate(some):
            verdict = classify(question, answer)
            wanted = verdict if verdict.is_flagged else None
            count += row not in bad and fast.get(row) != wanted
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="take every n-th row")
    every = parser.parse_args().every
    total = 0
    for number, (name, asked) in enumerate(pairs(every)):
        found = differences(asked, ascii_only=bool(number % 2))
        print(f"{name:44}{len(asked):7} rows{found:5} differ", flush=True)
        total += found
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
