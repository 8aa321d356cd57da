"""Reads files of answers: all of them are counted, the first of them are kept for the page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from uncensor_trainer.progress import Json
from uncensor_trainer.report.facts import Answer, Sample, Samples
from uncensor_trainer.report.reading import mapping, rows, text

LONGEST_ANSWER = 4000
LONGEST_PROMPT = 2000


def of_evaluation(folder: Path | None, limit: int) -> Samples:
    """Return the answers to the refusal prompts, one sample a prompt."""
    return _gathered(_evaluated(folder / "samples.jsonl") if folder else (), limit)


def of_probe(folder: Path | None, limit: int) -> Samples:
    """Return the answers to the probe's instructions, one sample an instruction."""
    return _gathered(_probed(folder / "output.jsonl") if folder else (), limit)


def _evaluated(path: Path) -> Iterator[Sample]:
    for row in rows(path):
        given = mapping(row.get("answers")).items()
        answers = tuple(
            _answer(arm, mapping(answer).get("response"), mapping(answer).get("class"))
            for arm, answer in given
        )
        yield Sample(
            text(row.get("id")),
            text(row.get("prompt"))[:LONGEST_PROMPT],
            text(row.get("category")),
            answers,
        )


def _probed(path: Path) -> Iterator[Sample]:
    instructions: dict[str, str] = {}
    answers: dict[str, list[Answer]] = {}
    for row in rows(path):
        identifier = text(row.get("id"))
        instructions.setdefault(identifier, text(row.get("instruction"))[:LONGEST_PROMPT])
        answer = _answer(text(row.get("arm"), "filtered"), row.get("response"), None)
        answers.setdefault(identifier, []).append(answer)
    for identifier, instruction in instructions.items():
        yield Sample(identifier, instruction, "", tuple(answers[identifier]))


def _answer(arm: str, response: Json, answer_class: Json) -> Answer:
    whole = text(response)
    return Answer(text(arm), whole[:LONGEST_ANSWER], text(answer_class), len(whole))


def _gathered(samples: Iterable[Sample], limit: int) -> Samples:
    shown: list[Sample] = []
    total = differing = 0
    digest = hashlib.sha256()
    for sample in samples:
        total += 1
        differing += sample.differs
        if len(shown) < limit:
            shown.append(sample)
        given = [[a.arm, a.response, a.answer_class, a.length] for a in sample.answers]
        digest.update(json.dumps([sample.identifier, sample.prompt, given]).encode())
    return Samples(tuple(shown), total, differing, digest.hexdigest() if total else "")
