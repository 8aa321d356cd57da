"""What a report shows of a flagged row: pieces of its texts, short enough for thousands of rows."""

from __future__ import annotations

from uncensor_trainer.data.formats import Message
from uncensor_trainer.filtering.annotations import row_hash
from uncensor_trainer.filtering.policy import Decision
from uncensor_trainer.filtering.rows import BrokenRow, reading_of
from uncensor_trainer.progress import Json
from uncensor_trainer.refusals.classes import Verdict

ASKED = 300  # characters of an instruction
AROUND = 600  # characters of an answer before and after the span
MOST_TURNS = 4  # flagged answers of one conversation
Shown = dict[str, Json]


def shown_row(row: int, line: bytes, decision: Decision) -> Shown:
    """Return one entry of the report; `index` is counted from the beginning of the block."""
    try:
        messages = reading_of(line).row.messages
    except BrokenRow:  # a row that only a person's decision names
        messages = ()
    turns: list[Json] = [
        _turn(messages, number, verdict, decision)
        for number, verdict in decision.verdicts[:MOST_TURNS]
    ]
    return {
        "index": row,
        "row": row_hash(line),
        "action": decision.action,
        "byHand": decision.by_hand,
        "class": decision.strongest.answer_class.value if decision.verdicts else "none",
        "turns": turns,
    }


def _turn(
    messages: tuple[Message, ...], number: int, verdict: Verdict, decision: Decision
) -> Shown:
    answer = messages[number].content
    begin = max(0, verdict.start - AROUND)
    end = min(len(answer), verdict.end + AROUND)
    turn: Shown = {
        "turn": number,
        "class": verdict.answer_class.value,
        "rule": verdict.rule,
        "score": verdict.score,
        "asked": messages[number - 1].content[:ASKED] if number else "",
        # Cut here, because JavaScript counts characters in another way.
        "head": answer[begin : verdict.start],
        "span": answer[verdict.start : verdict.end][:AROUND],
        "tail": answer[verdict.end : end],
        "more": len(answer) > end,
        "gone": number in decision.removed,
    }
    if number in decision.texts:
        turn["stripped"] = decision.texts[number][: end - begin]
    return turn
