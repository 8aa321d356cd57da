"""Prepare: rows to token stores, so that no GPU waits for a tokenizer.

Reads filter/kept.jsonl (and unfiltered.jsonl for the control arm); writes one store an arm and
validation.jsonl, the rows held out of both arms.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import AutoConfig, AutoTokenizer

from uncensor_trainer.data.formats import Message
from uncensor_trainer.data.store import write_store
from uncensor_trainer.data.templates import Template, template_for
from uncensor_trainer.data.tokenise import Encoded, RowRejected, encode
from uncensor_trainer.exits import InvalidInput, as_stage_error
from uncensor_trainer.progress import Json
from uncensor_trainer.run import StageContext
from uncensor_trainer.runfile import TrainingSettings
from uncensor_trainer.workspace import read_json, write_json

SAMPLES = 3  # rejected rows that are shown; enough to understand
SAMPLE_CHARACTERS = 600


@dataclass(slots=True)
class Tally:
    """What was rejected, and the first example of each reason."""

    reasons: Counter[str] = field(default_factory=Counter)
    samples: list[Json] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Encoder:
    """What makes tokens of one conversation."""

    template: Template
    tokenizer: Any
    vocabulary: int
    """Token ids that the model has an embedding for: 0 up to this, exclusive."""
    max_length: int

    def tokens_of(self, messages: Sequence[Message]) -> Encoded:
        """Return ids and labels of a conversation.

        Raises:
            RowRejected: the conversation cannot be trained on.
            InvalidInput: tokenizer and model do not fit together.
        """
        try:
            encoded = encode(self.template, self.tokenizer, messages, self.max_length)
        except TemplateError as problem:
            raise RowRejected(f"the chat template refuses the conversation: {problem}") from problem
        if max(encoded.input_ids) >= self.vocabulary:
            raise InvalidInput(
                f"The tokenizer gives token {max(encoded.input_ids)}, and the model knows "
                f"{self.vocabulary} tokens only; the tokenizer's files are of another model."
            )
        return encoded

    def shown(self, messages: Sequence[Message]) -> str:
        """Return the text of a conversation as far as there is one, cut for a message."""
        try:
            text = self.template.render(messages).text
        except TemplateError:
            text = "\n".join(f"{message.role}: {message.content}" for message in messages)
        return text[:SAMPLE_CHARACTERS]


def run(context: StageContext, out: Path) -> dict[str, Json]:
    """Write prepared/filtered, prepared/control when wanted, and validation.jsonl.

    Raises:
        InvalidInput: the model's tokenizer or the template does not serve, or no row is left.
    """
    settings = context.run.training
    encoder = _encoder(model_folder(context), settings)
    filtered = context.workspace.output("filter")

    arms = {"filtered": "kept.jsonl"}
    if settings.control:
        arms["control"] = "unfiltered.jsonl"
    held_out = _held_out(filtered / "kept.jsonl", settings.validation_fraction, settings.seed)
    _write_held_out(filtered / "kept.jsonl", held_out, out / "validation.jsonl")

    summary: dict[str, Json] = {"heldOut": len(held_out)}
    for arm, name in arms.items():
        tally = Tally()
        rows = _encoded(context, encoder, filtered / name, held_out, tally)
        counts = write_store(out / arm, rows)
        _refuse_empty(counts["rows"], tally, settings, len(held_out))
        _tell_rejected(context, arm, tally)
        write_json(out / arm / "rejected.json", _shown(tally))
        rejected: Json = dict(tally.reasons)
        summary[arm] = {**counts, "rejected": rejected}
    return summary


def model_folder(context: StageContext) -> Path:
    """Return the folder of the base model that fetch recorded."""
    sources = read_json(context.workspace.output("fetch") / "sources.json") or {}
    model = sources.get("model")
    if not isinstance(model, dict):
        raise InvalidInput("fetch left no model; use --from fetch.")
    return context.workspace.root / str(model["folder"])


def _encoder(folder: Path, settings: TrainingSettings) -> Encoder:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        if as_stage_error(error) is not None:
            raise
        # The tokenizers library raises plain exceptions for files that it cannot read.
        told = str(error).strip().partition("\n")[0]
        raise InvalidInput(
            f"The model in {folder} has no tokenizer that transformers can load: {told} Add the "
            "tokenizer's files (tokenizer.json, tokenizer_config.json) of the same model."
        ) from error
    if not tokenizer.is_fast:
        raise InvalidInput(
            f"The tokenizer in {folder} does not tell which characters a token stands for, so that "
            "answers cannot be told from prompts. Add a tokenizer.json (save_pretrained of a fast "
            "tokenizer writes one)."
        )
    return Encoder(
        template_for(settings.template, tokenizer),
        tokenizer,
        config.get_text_config().vocab_size,
        settings.max_length,
    )


def _encoded(
    context: StageContext,
    encoder: Encoder,
    path: Path,
    held_out: set[tuple[str, int]],
    tally: Tally,
) -> Iterator[tuple[str, int, Encoded]]:
    is_first = True
    for count, row in enumerate(_rows(path), start=1):
        context.progress.update(count)
        dataset, index = row["dataset"], row["index"]
        if (dataset, index) in held_out:
            continue
        messages = [Message(**message) for message in row["messages"]]
        try:
            encoded = encoder.tokens_of(messages)
        except RowRejected as rejection:
            tally.reasons[str(rejection).split(" (")[0]] += 1
            if len(tally.samples) < SAMPLES:
                sample: Json = {
                    "dataset": dataset,
                    "index": index,
                    "reason": str(rejection),
                    "text": encoder.shown(messages),
                }
                tally.samples.append(sample)
            continue
        if is_first:
            _refuse_lost_answers(encoder, messages, context.run.training.template)
            is_first = False
        yield dataset, index, encoded


def _refuse_lost_answers(encoder: Encoder, messages: Sequence[Message], name: str) -> None:
    """Let templates pass that write answers; one row tells, as they treat all rows alike."""
    rendered = encoder.template.render(messages)
    answers = [message.content.strip() for message in messages if message.role == "assistant"]
    for answer, (start, end) in zip(answers, rendered.answers, strict=True):
        if answer not in rendered.text[start:end]:
            raise InvalidInput(
                f"The template {name!r} leaves the answer out of what is trained on. Choose "
                "another training.template: wizardlm, alpaca or vicuna. A sample: answer "
                f"{answer[:SAMPLE_CHARACTERS]!r}, text {encoder.shown(messages)!r}, trained on "
                f"{rendered.text[start:end]!r}."
            )


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


def _refuse_empty(
    num_rows: int, tally: Tally, settings: TrainingSettings, num_held_out: int
) -> None:
    if num_rows:
        return
    if not tally.reasons:
        raise InvalidInput(
            f"No row is left to train on: all {num_held_out} are held out for validation. Lower "
            f"training.validationFraction (now {settings.validation_fraction}) or add rows."
        )
    reasons = "; ".join(f"{count} rows: {reason}" for reason, count in tally.reasons.items())
    sample = json.dumps(tally.samples[0], ensure_ascii=False)
    raise InvalidInput(
        f"No row is left to train on with template {settings.template!r} and maxLength "
        f"{settings.max_length}. {reasons}. Raise training.maxLength or choose another "
        f"training.template. A sample: {sample}"
    )


def _tell_rejected(context: StageContext, arm: str, tally: Tally) -> None:
    for reason, count in tally.reasons.items():
        context.progress.note(f"{count} rows of the {arm} arm are left out: {reason}.")


def _shown(tally: Tally) -> dict[str, Json]:
    reasons: dict[str, Json] = dict(tally.reasons)
    return {"reasons": reasons, "samples": tally.samples}
