"""Prepare: rows to token stores, so that no GPU waits for a tokenizer.

Reads filter/kept.jsonl (and unfiltered.jsonl for the control arm); writes one store an arm and
validation.jsonl, the rows held out of both arms.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from uncensor_trainer.data.formats import Message
from uncensor_trainer.data.store import write_store
from uncensor_trainer.data.templates import Template, template_for
from uncensor_trainer.data.tokenise import Encoded, RowRejected, encode
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json
from uncensor_trainer.run import StageContext
from uncensor_trainer.workspace import read_json, write_json

SAMPLE_CHARACTERS = 600


@dataclass(slots=True)
class Tally:
    """What was rejected, and the first example of each reason."""

    reasons: Counter[str] = field(default_factory=Counter)
    samples: list[Json] = field(default_factory=list)


def run(context: StageContext, out: Path) -> dict[str, Json]:
    """Write prepared/filtered, prepared/control when wanted, and validation.jsonl."""
    settings = context.run.training
    tokenizer = AutoTokenizer.from_pretrained(model_folder(context), local_files_only=True)
    template = template_for(settings.template, tokenizer)
    filtered = context.workspace.output("filter")

    arms = {"filtered": "kept.jsonl"}
    if settings.control:
        arms["control"] = "unfiltered.jsonl"
    held_out = _held_out(filtered / "kept.jsonl", settings.validation_fraction, settings.seed)
    _write_held_out(filtered / "kept.jsonl", held_out, out / "validation.jsonl")

    summary: dict[str, Json] = {"heldOut": len(held_out)}
    for arm, name in arms.items():
        tally = Tally()
        rows = _encoded(context, template, tokenizer, filtered / name, held_out, tally)
        counts = write_store(out / arm, rows)
        _refuse_empty(counts["rows"], tally, settings.template)
        write_json(out / arm / "rejected.json", _shown(tally))
        rejected: Json = dict(tally.reasons)
        summary[arm] = {**counts, "rejected": rejected}
    return summary


def model_folder(context: StageContext) -> Path:
    """Return the folder of the base model that fetch recorded."""
    sources = read_json(context.workspace.output("fetch") / "sources.json") or {}
    model = sources.get("model")
    if not isinstance(model, dict):
        raise InvalidInput("fetch left no model; run it again (--from fetch).")
    return context.workspace.root / str(model["folder"])


def _encoded(
    context: StageContext,
    template: Template,
    tokenizer: Any,
    path: Path,
    held_out: set[tuple[str, int]],
    tally: Tally,
) -> Iterator[tuple[str, int, Encoded]]:
    for count, row in enumerate(_rows(path), start=1):
        key = (row["dataset"], row["index"])
        if key in held_out:
            continue
        messages = [Message(**message) for message in row["messages"]]
        try:
            encoded = encode(template, tokenizer, messages, context.run.training.max_length)
        except RowRejected as rejection:
            tally.reasons[str(rejection).split(" (")[0]] += 1
            if len(tally.samples) < 3:  # noqa: PLR2004 - enough to understand
                text = template.render(messages).text[:SAMPLE_CHARACTERS]
                tally.samples.append(
                    {"dataset": key[0], "index": key[1], "reason": str(rejection), "text": text}
                )
            continue
        context.progress.update(count, None)
        yield key[0], key[1], encoded


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _held_out(path: Path, fraction: float, seed: int) -> set[tuple[str, int]]:
    """Choose rows by a hash of their origin: the same rows whatever else changes."""
    if fraction <= 0:
        return set()
    chosen = set()
    for row in _rows(path):
        key = f"{seed}/{row['dataset']}/{row['index']}".encode()
        if int.from_bytes(hashlib.sha256(key).digest()[:8]) < fraction * 2**64:
            chosen.add((row["dataset"], row["index"]))
    return chosen


def _write_held_out(path: Path, held_out: set[tuple[str, int]], target: Path) -> None:
    with target.open("w", encoding="utf-8") as file:
        for row in _rows(path):
            if (row["dataset"], row["index"]) in held_out:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _refuse_empty(rows: int, tally: Tally, template: str) -> None:
    if rows:
        return
    reasons = "; ".join(f"{count} rows: {reason}" for reason, count in tally.reasons.items())
    sample = json.dumps(tally.samples[0], ensure_ascii=False) if tally.samples else "none"
    raise InvalidInput(
        f"No row is left to train on with template {template!r}. {reasons}. Raise "
        f"training.maxLength or choose another training.template. A sample: {sample}"
    )


def _shown(tally: Tally) -> dict[str, Json]:
    reasons: dict[str, Json] = dict(tally.reasons)
    return {"reasons": reasons, "samples": tally.samples}
