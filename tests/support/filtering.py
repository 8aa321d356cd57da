"""Rows for the tests of the filter: plain ones, flagged ones, broken ones."""

from __future__ import annotations

import json
from pathlib import Path

from uncensor_trainer.filtering import Job, Policy, Tally, filter_files

REFUSAL = "I'm sorry, but I cannot help with that request."
DISCLAIMER = (
    "As an AI language model, I don't have personal opinions. However, the bridge is 40 metres "
    "long, was built in 1912 and carries two lanes of traffic over the river every day."
)
PLAIN = "Boil the rice for twelve minutes, drain it, and let it rest under a cloth."


def row(output: str = PLAIN, instruction: str = "How long do I boil rice?", **more: object) -> str:
    return json.dumps({"instruction": instruction, "output": output, **more}, ensure_ascii=False)


def talk(*turns: str) -> str:
    roles = ("human", "gpt")
    value = [{"from": roles[n % 2], "value": text} for n, text in enumerate(turns)]
    return json.dumps({"conversations": value}, ensure_ascii=False)


def lines(*rows: str) -> bytes:
    return "".join(row + "\n" for row in rows).encode()


def run(source: Path, output: Path, *, policy: Policy | None = None, jobs: int = 1) -> Tally:
    """Filter one file; decisions and quarantine lie beside the output."""
    return filter_files(
        Job(
            (str(source),),
            str(output),
            policy or Policy(),
            decisions=output.with_name(output.name + ".decisions"),
            quarantine=output.with_name(output.name + ".quarantine"),
            report=output.with_name(output.name + ".report"),
            jobs=jobs,
        )
    )


def entries(output: Path, kind: str) -> list[dict[str, object]]:
    text = output.with_name(f"{output.name}.{kind}").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
