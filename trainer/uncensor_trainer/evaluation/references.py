"""Which good answers the perplexity is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uncensor_trainer.data.formats import Message
from uncensor_trainer.data.inputs import read_reference_answers
from uncensor_trainer.evaluation.arms import given_source, list_files
from uncensor_trainer.refusals.classes import AnswerClass
from uncensor_trainer.refusals.engine import classify
from uncensor_trainer.run import StageContext
from uncensor_trainer.workspace import read_lines

# A narrow interval needs a few hundred answers; a fraction of 70,000 rows would take hours.
MOST_HELD_OUT = 512
_NOT_CLEAN = {AnswerClass.REFUSAL, AnswerClass.MORALISE, AnswerClass.PLACEHOLDER}

Conversation = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class References:
    """Conversations whose answers are good, and where they come from."""

    origin: str
    """`held-out` rows of the training data, `given` in the run file, or `bundled`."""
    conversations: Sequence[Conversation]


def find_references(context: StageContext) -> References:
    """Return held-out rows if there are any, else the run file's answers, else the bundled ones.

    Raises:
        InvalidInput: the run file's answers cannot be read, or there are none.
    """
    held_out = _held_out(context)
    if held_out:
        return References("held-out", held_out)
    answers = read_reference_answers(list_files(context, "answers"))
    origin = "bundled" if given_source(context.run, "answers") is None else "given"
    return References(
        origin,
        [
            (Message("user", answer.instruction), Message("assistant", answer.response))
            for answer in answers
        ],
    )


def is_clean(conversation: Conversation) -> bool:
    """Tell whether no answer refuses or is missing: rows that an audit kept may."""
    question = ""
    for message in conversation:
        if message.role == "user":
            question = message.content
        elif message.role == "assistant":
            verdict = classify(question, message.content)
            if verdict.answer_class in _NOT_CLEAN:
                return False
    return True


def _held_out(context: StageContext) -> list[Conversation]:
    rows = read_lines(context.workspace.output("prepare") / "validation.jsonl")
    conversations = [
        tuple(Message(**message) for message in row["messages"])  # type: ignore[arg-type, union-attr]
        for row in rows
    ]
    clean = [conversation for conversation in conversations if is_clean(conversation)]
    if len(clean) <= MOST_HELD_OUT:
        return clean
    context.progress.note(
        f"{len(clean)} held-out rows are clean; the perplexity is measured on {MOST_HELD_OUT} of "
        "them, evenly spread."
    )
    return [clean[index * len(clean) // MOST_HELD_OUT] for index in range(MOST_HELD_OUT)]
