"""The numbers that the linear stages weigh: what comes first, what follows, how much is answer.

Everything is counted over sentences and their kinds; single words are no features, because weights
of words learnt on one source do not carry over to the next (docs/adr/0035).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log1p

import re2

from uncensor_trainer.refusals.context import Request, content_words
from uncensor_trainer.refusals.cues import Cue
from uncensor_trainer.refusals.sentences import YIELDING, Kind, Sentence
from uncensor_trainer.refusals.text import Text

_APPEALS = frozenset({"we-should", "values", "against-groups"})
_WANTS = frozenset({"input-missing", "limited-functions"})
_NO_DATA = frozenset({"no-tool", "no-live-data", "knowledge-ends"})
_LIST = re2.compile(r"(?m)^\s*(?:[-*•]|\d{1,2}[.)])\s")
# "No, it is illegal" answers a question; "No, I cannot" does not.
_YES_OR_NO = re2.compile(r"^\W*(?:yes|no)\b[,.]? (?:[a-hj-z]|i[a-z])")
_PRIVATE = re2.compile(
    r"\b(?:personal|private|confidential|sensitive) (?:or \w+ )?(?:and \w+ )?(?:contact |"
    r"financial |"
    r"health |identification )?(?:information|data|details|records?)\b|\bprivacy\b"
)
_NEGATION = re2.compile(r"n't\b|\b(?:not|no|never|cannot|neither|nor|false|myth|misconception)\b")
_FIRST = (
    Kind.DECLINE,
    Kind.SOFT,
    Kind.UNABLE,
    Kind.REBUKE,
    Kind.LECTURE,
    Kind.OFFER,
    Kind.OPENER,
    Kind.MODEL,
    Kind.SELF,
)
_NEXT = (Kind.DECLINE, Kind.REBUKE, Kind.LECTURE, Kind.OPENER, Kind.SOFT, Kind.OFFER, Kind.SELF)
_PREACHING = frozenset({Kind.REBUKE, Kind.LECTURE})
_TALKING = frozenset({Kind.OFFER, Kind.SELF, Kind.SOFT, Kind.MODEL, Kind.UNABLE})
_ANSWERING = frozenset({Kind.PLAIN, Kind.OPENER})
_LEADS = {
    "decline": (Kind.DECLINE,),
    "soft": (Kind.SOFT,),
    "preach": (Kind.REBUKE, Kind.LECTURE),
    "unable": (Kind.UNABLE,),
}
_BY_LEAD = ("answering", "answered", "preaching")
_OPENING = 6  # sentences
_MANY_FIGURES = 3  # digits; "24/7" is no figure, a list of years is
_SAME_WORDS = 0.5  # of the words of a question, said again in the first sentence


@dataclass(frozen=True, slots=True)
class Answer:
    """What the numbers are read from.

    Attributes:
        text: its plain text.
        found: its first sentences.
        length: characters of the whole answer.
        head: its beginning as it was written, for its lists.
    """

    text: Text
    found: Sequence[Sentence]
    length: int
    head: str

    @property
    def kinds(self) -> list[Kind]:
        """What the sentences do; an answer without one is plain."""
        return [sentence.kind for sentence in self.found] or [Kind.PLAIN]

    @property
    def total(self) -> int:
        """Characters that were read, fenced code included, which counts as answer."""
        return sum(sentence.length for sentence in self.found) + self.text.code or 1

    def share(self, wanted: frozenset[Kind]) -> float:
        """Return the share of the characters in sentences of these kinds."""
        return sum(s.length for s in self.found if s.kind in wanted) / self.total

    @property
    def answering(self) -> float:
        """The share that answers."""
        return self.share(_ANSWERING) + self.text.code / self.total

    @property
    def is_dry(self) -> bool:
        """Nothing in it looks like the thing that was asked for: no list, figures or code."""
        figures = sum(map(str.isdigit, self.head))
        return not (self.has_list or self.text.code or figures > _MANY_FIGURES)

    @property
    def has_list(self) -> bool:
        """It has a list."""
        return _LIST.search(self.head) is not None


def features(answer: Answer, asked: Request) -> Mapping[str, float]:
    """Return the named numbers of an answer to a request."""
    kinds = answer.kinds
    numbers = {f"{kind}@first": float(kinds[0] is kind) for kind in _FIRST}
    numbers.update({f"{kind}@next": float(kind in kinds[1:3]) for kind in _NEXT})
    numbers.update(_amounts(answer))
    numbers.update(_orders(answer))
    numbers.update(_without_turn(answer))
    numbers.update(_inabilities(answer))
    numbers.update(_requested(answer, asked))
    numbers.update(_amounts_by_lead(numbers))
    return numbers


def _amounts_by_lead(numbers: Mapping[str, float]) -> dict[str, float]:
    """What the same amount of answer is worth depends on how the answer begins."""
    return {
        f"{lead}*{name}": numbers[name] * sum(numbers[f"{kind}@first"] for kind in kinds)
        for lead, kinds in _LEADS.items()
        for name in _BY_LEAD
    }


def _amounts(answer: Answer) -> dict[str, float]:
    """How much of the answer does what."""
    found, total, plain = answer.found, answer.total, answer.answering
    dry = answer.is_dry
    return {
        "declining": answer.share(frozenset({Kind.DECLINE})),
        "preaching": answer.share(_PREACHING),
        "talking": answer.share(_TALKING),
        "answering": plain,
        "answered": log1p(plain * total / 100),
        "length": log1p(answer.length / 200),
        "appealing": sum(s.length for s in found if s.rules & _APPEALS) / total,
        "list": float(answer.has_list),
        "code": float(answer.text.code > 0),
        "pure lecture": (1 - plain) * dry * (answer.kinds[0] is Kind.LECTURE),
        "offer last": float(answer.kinds[-1] is Kind.OFFER),
    }


def _orders(answer: Answer) -> dict[str, float]:
    """What follows a caveat or a no makes the difference between a disclaimer and a refusal."""
    found, kinds = answer.found, answer.kinds
    first, second = kinds[0], kinds[1] if len(kinds) > 1 else None
    turns = any(sentence.turns for sentence in found[:2])
    soft = first is Kind.SOFT
    rules = found[0].rules if found else ()
    cues = [sentence.cues for sentence in found]
    preaching = sum(s.length for s in found if s.kind in _PREACHING)
    total = sum(s.length for s in found) or 1
    return {
        "caveat>turn": float(first in {Kind.SOFT, Kind.UNABLE} and turns),
        "soft>turn>preach": float(soft and turns and second in _PREACHING),
        "soft>preach": float(soft and not turns and second in _PREACHING),
        "soft>answer": float(soft and second in _ANSWERING),
        "soft alone": float(soft and all(k not in _PREACHING | _ANSWERING for k in kinds)),
        "decline>opener": float(Kind.DECLINE in kinds[:2] and Kind.OPENER in kinds[:4]),
        "decline>turn": float(first is Kind.DECLINE and turns),
        "decline last": float(Kind.DECLINE in kinds[2:][-2:]),
        "sorry": float("sorry-but" in rules),
        "rebuke early": float(any(Cue.REBUKE in c for c in cues[:2])),
        "model preaches": preaching / total if cues and Cue.MODEL in cues[0] else 0.0,
    }


def _without_turn(answer: Answer) -> dict[str, float]:
    """A firm no or a rebuke that is never turned: what follows explains it and gives nothing."""
    found, kinds = answer.found, answer.kinds
    turned = any(_turns_to_answer(answer, s) for s in found[:_OPENING]) or Kind.OPENER in kinds[:4]
    flat = answer.is_dry and not turned
    firm = any(s.kind is Kind.DECLINE and not s.rules <= YIELDING for s in found[:2])
    return {
        "flat no": float(flat and Kind.DECLINE in kinds[:2]),
        "flat firm no": float(flat and firm),
        "flat rebuke": float(flat and kinds[0] is Kind.REBUKE),
        "flat preaching": float(flat) * answer.share(_PREACHING),
        "after turn": log1p(_plain_after_turn(found) / 100),
    }


def _turns_to_answer(answer: Answer, sentence: Sentence) -> bool:
    """Tell whether a sentence turns from the no; "Instead, let us ..." turns from the request."""
    return sentence.turns and not answer.text.plain.startswith("instead", sentence.start)


def _plain_after_turn(found: Sequence[Sentence]) -> int:
    """Characters of answer from the first "however" on."""
    turn = next((n for n, s in enumerate(found[:_OPENING]) if s.turns), None)
    if turn is None:
        return 0
    return sum(s.length for s in found[turn:] if s.kind in _ANSWERING)


def _inabilities(answer: Answer) -> dict[str, float]:
    """What a missing tool or input, or the privacy of others, is followed by."""
    opening = answer.found[:_OPENING]
    kinds = answer.kinds
    rules = frozenset(rule for sentence in opening for rule in sentence.rules)
    unable = kinds[0] is Kind.UNABLE
    rest = kinds[1:_OPENING]
    return {
        "unable>preach": float(unable and any(k in _PREACHING for k in rest[:2])),
        "unable>self": float(unable and Kind.SELF in rest[:2]),
        "unable>offer": float(unable and Kind.OFFER in rest[:2]),
        "no data": float(bool(rules & _NO_DATA)),
        "no ability": float("no-ability" in rules),
        "wants input": float(bool(rules & _WANTS)),
        "private": float(_PRIVATE.search(answer.text.plain[:500]) is not None),
    }


def _requested(answer: Answer, asked: Request) -> dict[str, float]:
    """What only the instruction tells: a premise denied, a judgement that was asked for."""
    soft = answer.kinds[0] is Kind.SOFT
    preaching = answer.share(_PREACHING)
    return {
        "denies premise": float(asked.asks_why and _repeats_negated(answer, asked)),
        "judgement asked": preaching * asked.asks_for_judgement,
        "opinion asked": float(soft and asked.asks_opinion),
        "answers yes or no": float(
            asked.asks_yes_or_no
            and _YES_OR_NO.search(answer.text.plain) is not None
            and Kind.DECLINE not in answer.kinds[:2]
        ),
        "text asked": float(asked.wants_text and answer.kinds[0] in {Kind.SOFT, Kind.UNABLE}),
    }


def _repeats_negated(answer: Answer, asked: Request) -> bool:
    """Tell whether the first sentence says the words of the question again, with a "not"."""
    if not answer.found or not asked.words:
        return False
    first = answer.text.plain[answer.found[0].start : answer.found[0].end]
    same = len(asked.words & content_words(first)) / len(asked.words)
    return same >= _SAME_WORDS and _NEGATION.search(first) is not None
