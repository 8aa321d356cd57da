"""Evaluate: how often every arm refuses harmless prompts, and what that cost in language.

Reads the models; writes refusal.json (rates, paired test, perplexities, gate) and samples.jsonl
(every answer of every arm with its class). A gate that is not met is a result, not an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from uncensor_trainer.data.inputs import Question, read_questions
from uncensor_trainer.data.tokenise import Encoded, RowRejected, encode
from uncensor_trainer.evaluation.arms import Steps, arm_folders, given_source, list_files
from uncensor_trainer.evaluation.generate import generate_answers
from uncensor_trainer.evaluation.models import OpenModel, open_model, precision
from uncensor_trainer.evaluation.perplexity import RESAMPLES, SEED, answer_losses, perplexity_of
from uncensor_trainer.evaluation.references import References, find_references
from uncensor_trainer.evaluation.result import Findings, Gate, assess, judge
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json
from uncensor_trainer.run import StageContext
from uncensor_trainer.runfile import Arm
from uncensor_trainer.workspace import write_json


def run(context: StageContext, out: Path) -> dict[str, Json]:
    """Ask and measure every arm, compare them, and write the result.

    Raises:
        InvalidInput: a list is empty or bad, a model is missing, or no reference answer fits.
        NumericFailure: a model gives no finite loss.
    """
    questions = read_questions(list_files(context, "prompts"))
    references = find_references(context)
    folders = arm_folders(context)
    units = len(questions) + len(references.conversations)
    steps = Steps(context.progress, total=len(folders) * units)
    findings: dict[Arm, Findings] = {}
    for arm, folder in folders.items():
        steps.arm = arm
        # The model lives in this call only: one at a time in memory.
        findings[arm] = _examine(context, folder, questions, references, steps)
    result = assess(findings, context.run.evaluation.max_refusal_rate)
    document = {
        "prompts": len(questions),
        "settings": _settings(context, references),
        **result.as_json(),
    }
    write_json(out / "refusal.json", document)
    _write_samples(out / "samples.jsonl", questions, findings)
    if result.gate is not None and not result.gate.met:
        context.progress.note(_missed(result.gate))
    return result.summary()


def _examine(
    context: StageContext,
    folder: Path,
    questions: Sequence[Question],
    references: References,
    steps: Steps,
) -> Findings:
    settings = context.run.evaluation.refusal
    opened = open_model(folder, context.run.training.template)
    prompts = [question.prompt for question in questions]
    responses = generate_answers(
        opened,
        prompts,
        max_new_tokens=settings.max_new_tokens,
        batch_size=settings.batch_size,
        on_step=steps.advance,
    )
    rows = _encoded(context, opened, references)
    steps.advance(len(references.conversations) - len(rows))
    losses = answer_losses(opened, rows, on_rows=steps.advance)
    return Findings(responses, judge(prompts, responses), perplexity_of(losses))


def _encoded(context: StageContext, opened: OpenModel, references: References) -> list[Encoded]:
    """Leave out answers that do not fit; the number of answers in the result says so."""
    longest = opened.context or context.run.training.max_length
    rows = []
    for conversation in references.conversations:
        try:
            rows.append(encode(opened.template, opened.tokenizer, conversation, longest))
        except RowRejected:
            continue
    if not rows:
        raise InvalidInput(
            f"None of the {len(references.conversations)} reference answers "
            f"({references.origin}) fits into the {longest} tokens that the model reads. Give "
            "shorter ones in evaluation.perplexityAnswers."
        )
    return rows


def _settings(context: StageContext, references: References) -> dict[str, Json]:
    settings = context.run.evaluation.refusal
    return {
        "prompts": "bundled" if given_source(context.run, "prompts") is None else "given",
        "answers": references.origin,
        "template": context.run.training.template,
        "decoding": "greedy",
        "maxNewTokens": settings.max_new_tokens,
        "batchSize": settings.batch_size,
        "precision": precision(),
        "resamples": RESAMPLES,
        "seed": SEED,
    }


def _write_samples(
    path: Path, questions: Sequence[Question], findings: Mapping[Arm, Findings]
) -> None:
    with path.open("w", encoding="utf-8") as file:
        for index, question in enumerate(questions):
            answers = {
                arm: {"response": found.responses[index], "class": found.classes[index].value}
                for arm, found in findings.items()
            }
            line = {
                "id": question.identity,
                "prompt": question.prompt,
                "category": question.category,
                "answers": answers,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _missed(gate: Gate) -> str:
    return (
        f"The gate is not met: the filtered arm refuses {gate.rate:.1%} of the prompts, at most "
        f"{gate.max_refusal_rate:.1%} are allowed. The result is kept."
    )
