"""Probe: what every arm answers to a fixed list of instructions, for people to read.

Reads the list in the format of the original inference script; writes output.jsonl, a line an
instruction and arm.
"""

from __future__ import annotations

import json
from pathlib import Path

from uncensor_trainer.data.inputs import read_questions
from uncensor_trainer.evaluation.arms import Steps, arm_folders, list_files
from uncensor_trainer.evaluation.generate import generate_answers
from uncensor_trainer.evaluation.models import open_model, precision
from uncensor_trainer.progress import Json
from uncensor_trainer.run import StageContext


def run(context: StageContext, out: Path) -> dict[str, Json]:
    """Ask every arm every instruction and write the answers.

    Raises:
        InvalidInput: the list has a bad line, or a model is missing.
    """
    settings = context.run.probe
    template = context.run.training.template
    questions = read_questions(list_files(context, "probe"))
    folders = arm_folders(context)
    shown: dict[str, Json] = {
        "template": template,
        "decoding": "greedy",
        "maxNewTokens": settings.max_new_tokens,
        "precision": precision(),
    }
    steps = Steps(context.progress, total=len(folders) * len(questions))
    with (out / "output.jsonl").open("w", encoding="utf-8") as file:
        for arm, folder in folders.items():
            steps.arm = arm
            answers = generate_answers(
                open_model(folder, template),
                [question.prompt for question in questions],
                max_new_tokens=settings.max_new_tokens,
                batch_size=settings.batch_size,
                on_step=steps.advance,
            )
            for question, answer in zip(questions, answers, strict=True):
                line = {
                    "id": question.identity,
                    "instruction": question.prompt,
                    "response": answer,
                    "arm": arm,
                    "settings": shown,
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return {"instructions": len(questions), "arms": list(folders)}
