"""Decides of which class an answer is: normalise, ask the rules, weigh the context.

The filter uses it on data, the evaluation on what a model wrote.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Protocol

import re2

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.refusals.classes import CLEAN, AnswerClass, Verdict
from uncensor_trainer.refusals.rules import ABOUT_ASSISTANT, ASKED_FOR, RULES, TURN, Rule

OPENING = 700  # characters of an answer that the rules see
# After "however" so many characters are an answer, not the rest of a refusal.
ANSWER_CHARACTERS = 60
_SAME_LENGTH = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\t": " "}
)


class UserRule(Protocol):
    """A pattern of the user's own."""

    @property
    def name(self) -> str:
        """Shown in decisions."""
        ...

    @property
    def refusal_class(self) -> str:
        """The class that a match means."""
        ...

    @property
    def pattern(self) -> str:
        """RE2 syntax, matched without regard to case anywhere in the answer."""
        ...


def classify(instruction: str, response: str, extra: Iterable[UserRule] = ()) -> Verdict:
    """Return the class of an answer to an instruction, with the rule and the place.

    Raises:
        InvalidInput: a pattern of `extra` is not valid RE2.
    """
    for rule in extra:
        match = _compiled_extra(rule.name, rule.pattern).search(response)
        if match:
            answer_class = AnswerClass(rule.refusal_class)
            return Verdict(answer_class, rule.name, match.start(), match.end(), 1.0)
    body = response.strip()
    if not body:
        return Verdict(AnswerClass.PLACEHOLDER, "empty", 0, len(response), 1.0)
    lead = len(response) - len(response.lstrip())
    text = normalised(body[:OPENING])
    verdict = _first_match(text, len(body))
    if not verdict.is_flagged:
        return CLEAN
    verdict = _in_context(verdict, normalised(instruction.strip()), text, len(body))
    if not verdict.is_flagged:
        return CLEAN
    return Verdict(
        verdict.answer_class, verdict.rule, verdict.start + lead, verdict.end + lead, verdict.score
    )


def normalised(text: str) -> str:
    """Return lower-case text with plain quotes and blanks, of the same length."""
    mapped = text.translate(_SAME_LENGTH)
    lowered = mapped.lower()
    # A few letters change length in lower case; offsets matter more than those.
    return lowered if len(lowered) == len(mapped) else mapped


def stripped(response: str, verdict: Verdict) -> str:
    """Return the answer without the caveat at its start, capitalised again.

    The caveat ends at the word that announces the answer ("but", "however"), else with its
    sentence. An answer that would be left with nothing is returned as it is.
    """
    text = normalised(response)
    sentence_end = _first(re2.search(r"[.!?](?:\s|$)", text[verdict.start :]))
    turn = re2.search(TURN, text[verdict.start :])
    limit = sentence_end if sentence_end >= 0 else len(text)
    if turn and turn.start() <= limit + 2:
        cut = verdict.start + turn.end()
    else:
        cut = verdict.start + limit + 1
    rest = response[cut:].lstrip(" ,;\n")
    after = re2.match(r"(?i)(?:but|however|that said|still|nevertheless|nonetheless),? ", rest)
    rest = rest[after.end() :] if after else rest
    if not rest.strip():
        return response
    return rest[0].upper() + rest[1:]


def _first(match: object) -> int:
    return match.start() if match else -1  # type: ignore[attr-defined]


def _first_match(text: str, length: int) -> Verdict:
    for rule, pattern in _compiled():
        if length > rule.max_length:
            continue
        match = pattern.search(text)
        if match and match.start() <= rule.within:
            return Verdict(rule.answer_class, rule.name, match.start(), match.end(), rule.score)
    return CLEAN


def _in_context(verdict: Verdict, instruction: str, text: str, length: int) -> Verdict:
    """Weigh what was asked and what follows."""
    if _asked().search(instruction):
        return CLEAN
    if verdict.answer_class in {AnswerClass.DISCLAIMER, AnswerClass.REFUSAL} and _about().search(
        instruction
    ):
        return Verdict(AnswerClass.IDENTITY, verdict.rule, verdict.start, verdict.end, 0.8)
    answers_after = _answer_follows(verdict, text, length)
    if verdict.answer_class is AnswerClass.DISCLAIMER and not answers_after:
        return Verdict(AnswerClass.REFUSAL, "caveat-only", verdict.start, verdict.end, 0.7)
    soft = verdict.rule in {
        "model-cannot",
        "sorry-but-cannot",
        "sorry-dash-refusal",
        "opening-cannot",
    }
    if verdict.answer_class is AnswerClass.REFUSAL and soft and _is_soft(text) and answers_after:
        return Verdict(AnswerClass.DISCLAIMER, verdict.rule, verdict.start, verdict.end, 0.7)
    return verdict


def _answer_follows(verdict: Verdict, text: str, length: int) -> bool:
    turn = re2.search(TURN, text[verdict.start :])
    if turn is None:
        return length - verdict.end > 3 * ANSWER_CHARACTERS
    after = verdict.start + turn.end()
    offers = re2.search(
        r"^,? ?(?:i(?:'d| would| can| could|'m| am| will|'ll) |feel free|please|if you|you (?:can|could|may|might) )",
        text[after : after + 40],
    )
    return length - after > ANSWER_CHARACTERS and offers is None


def _is_soft(text: str) -> bool:
    """A caveat about opinions and feelings, not about the request."""
    return (
        re2.search(
            r"\b(?:don't|do not|cannot|can't|not capable of|unable to) (?:have|hold|express|form|give|provide)? ?(?:any )?"
            r"(?:personal|subjective|opinions?|feelings?|preferences?|beliefs?|emotions?)",
            text[:240],
        )
        is not None
    )


@cache
def _compiled() -> tuple[tuple[Rule, re2._Regexp], ...]:
    return tuple((rule, re2.compile(rule.pattern)) for rule in RULES)


@cache
def _asked() -> re2._Regexp:
    return re2.compile(ASKED_FOR)


@cache
def _about() -> re2._Regexp:
    return re2.compile(ABOUT_ASSISTANT)


@cache
def _compiled_extra(name: str, pattern: str) -> re2._Regexp:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise InvalidInput(
            f"filter.extraRules: the pattern of {name!r} is not valid RE2: {error}. RE2 has no "
            "look-around and no back-references."
        ) from error
