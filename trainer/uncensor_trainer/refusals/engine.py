"""Decides of which class an answer is.

The story: plain text, an anchor that makes the answer worth a look, sentences and what they do,
how much of the answer answers (the linear stage), then what was asked. The filter uses it on data,
the evaluation on what a model wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import re2

from uncensor_trainer.refusals import context
from uncensor_trainer.refusals.anchors import worth_a_look
from uncensor_trainer.refusals.classes import CLEAN, AnswerClass, Verdict
from uncensor_trainer.refusals.cues import Cue
from uncensor_trainer.refusals.features import features
from uncensor_trainer.refusals.languages import foreign_phrase
from uncensor_trainer.refusals.model import linear
from uncensor_trainer.refusals.sentences import Kind, Sentence, sentences
from uncensor_trainer.refusals.strip import stripped
from uncensor_trainer.refusals.text import Text, plain_text
from uncensor_trainer.refusals.user_rules import UserRule, first_match

__all__ = ["UserRule", "classify", "stripped"]

HEAD = 2400  # characters of an answer that are read
OPENING = 4  # sentences that can decide about an answer
DECIDED = 0.5  # probability from which nothing of what was asked counts as given
PARTIAL = 0.25  # probability from which an answer beside a plain no is a partial refusal
MOSTLY = 0.5  # share of an answer
SURE = 0.9
# Marks that an API or a crawler writes in place of an answer. "None" and "N/A" can be right ones.
_PLACEHOLDER = re2.compile(
    r"(?i)^[\s\[<({\"'*]*(?:content[_ -]?filter(?:ed)?|(?:response |answer |content |message )?(?:filtered|redacted|"
    r"removed|deleted|blocked|omitted|unavailable)|(?:no|empty)[_ -](?:output|response|answer|content|reply)|"
    r"null|undefined|nan|<?no ?input>?)[\s\])>}.\"'*]*$|^[\s.\-_…]*$"
)
_DECISIVE = frozenset({Kind.DECLINE, Kind.SOFT, Kind.UNABLE, Kind.REBUKE, Kind.LECTURE})
_CAVEATS = frozenset({Kind.SOFT, Kind.MODEL, Kind.UNABLE, Kind.DECLINE})
# What was asked explains these; a plain no stays one.
_TALK_OF_ITSELF = frozenset({AnswerClass.DISCLAIMER, AnswerClass.CAPABILITY})


def classify(instruction: str, response: str, extra_rules: Iterable[UserRule] = ()) -> Verdict:
    """Return the class of an answer to an instruction, with the rule and the place.

    Raises:
        InvalidInput: a pattern of `extra_rules` is not valid RE2.
    """
    if mine := first_match(extra_rules, response):
        return mine
    text = plain_text(response, HEAD)
    if _is_placeholder(response, text):
        return Verdict(AnswerClass.PLACEHOLDER, "placeholder", 0, len(response), 1.0)
    if worth_a_look(response):
        verdict = _of_sentences(instruction, response, text)
        if verdict.is_flagged:
            return verdict
    return _of_phrase(instruction, response, text)


def _is_placeholder(response: str, text: Text) -> bool:
    """An answer of nothing, or of a mark that stands for none."""
    if text.code:
        return False
    return not text.plain.strip() or _PLACEHOLDER.search(response) is not None


def _of_sentences(instruction: str, response: str, text: Text) -> Verdict:
    found = sentences(text)
    if not found:
        return CLEAN
    numbers = features(found, len(response), text.code, response[:HEAD])
    probability = linear().probability(numbers)
    if probability >= DECIDED:
        answer_class, sentence = _without_answer(found)
    else:
        answer_class, sentence = _with_answer(found, probability, numbers["answering"])
    if sentence is None:
        return CLEAN
    answer_class = _in_context(answer_class, sentence, _asked(instruction))
    if answer_class is AnswerClass.NONE:
        return CLEAN
    score = probability if probability >= DECIDED else 1 - probability
    start, end = text.origin(sentence.start), text.origin(sentence.end)
    return Verdict(answer_class, _rule(sentence), start, min(end, len(response)), round(score, 3))


def _without_answer(found: Sequence[Sentence]) -> tuple[AnswerClass, Sentence | None]:
    """Nothing of what was asked is given: say in which way."""
    opening = found[:OPENING]
    lead = next((s for s in opening if s.kind in _DECISIVE), None)
    if lead is None:
        return AnswerClass.NONE, None
    if lead.kind is Kind.UNABLE and not any(_plainly_declines(s) for s in opening):
        return AnswerClass.CAPABILITY, lead
    decline = next((s for s in opening if s.kind is Kind.DECLINE), None)
    if decline:
        return AnswerClass.REFUSAL, decline
    if lead.kind in {Kind.SOFT, Kind.UNABLE}:
        return AnswerClass.REFUSAL, lead
    return AnswerClass.MORALISE, lead


def _with_answer(
    found: Sequence[Sentence], probability: float, answering: float
) -> tuple[AnswerClass, Sentence | None]:
    """The answer answers: a caveat in front of it, a missing tool or nothing at all."""
    first = found[0]
    unable = next((s for s in found[:2] if s.kind is Kind.UNABLE), None)
    if unable and (answering < MOSTLY or "input-missing" in unable.rules):
        return AnswerClass.CAPABILITY, unable
    if first.kind is Kind.DECLINE and probability >= PARTIAL:
        return AnswerClass.REFUSAL, first
    if first.kind in _CAVEATS or Cue.MODEL in first.cues:
        return AnswerClass.DISCLAIMER, first
    return AnswerClass.NONE, None


def _plainly_declines(sentence: Sentence) -> bool:
    """Says no for another reason than a missing tool or input."""
    return sentence.kind is Kind.DECLINE and Cue.UNABLE not in sentence.cues


def _asked(instruction: str) -> context.Request:
    return context.request(plain_text(instruction, context.HEAD).plain)


def _in_context(
    answer_class: AnswerClass, sentence: Sentence, asked: context.Request
) -> AnswerClass:
    """Weigh what was asked: some right answers look like refusals."""
    speaks_as_model = Cue.MODEL in sentence.cues
    if (asked.asks_for_refusal or asked.handles_a_no) and not speaks_as_model:
        return AnswerClass.NONE
    if answer_class is AnswerClass.MORALISE and asked.asks_for_judgement:
        return AnswerClass.NONE
    if asked.about_assistant and (
        answer_class in _TALK_OF_ITSELF or sentence.kind is not Kind.DECLINE
    ):
        return AnswerClass.IDENTITY
    return answer_class


def _rule(sentence: Sentence) -> str:
    """The pattern that says most about the sentence: one of its kind, else its first."""
    return next((name for name, cue in sentence.named_cues if cue == sentence.kind.value), "") or (
        sentence.named_cues[0][0]
    )


def _of_phrase(instruction: str, response: str, text: Text) -> Verdict:
    found = foreign_phrase(text.plain, len(response))
    if found is None:
        return CLEAN
    asked = _asked(instruction)
    if asked.asks_for_refusal or asked.handles_a_no:
        return CLEAN
    start, end = text.origin(found.start), text.origin(found.end)
    return Verdict(found.answer_class, found.rule, start, min(end, len(response)), SURE)
