"""The numbers that the linear stages weigh: what comes first, what follows, how much is answer.

Everything is counted over sentences and their kinds; single words are no features, because weights
of words learnt on one source do not carry over to the next (docs/adr/0035).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from math import log1p

from uncensor_trainer.refusals.context import Request, content_words
from uncensor_trainer.refusals.cues import Cue
from uncensor_trainer.refusals.meanings import YIELDING, Kind, Sentence

_APPEALS = frozenset({"we-should", "values", "against-groups"})
_WANTS = frozenset({"input-missing", "limited-functions"})
_NO_DATA = frozenset({"no-tool", "no-live-data", "knowledge-ends"})
_ITEM = r"[\t\n\f\r ]*(?:[-*•]|[0-9]{1,2}[.)])[\t\n\f\r ]"
_LIST_FIRST, _LIST = re.compile(_ITEM), re.compile(r"\n" + _ITEM)
_NO_LENGTHS = dict.fromkeys(Kind, 0)
_DIGITS = b"0123456789"
# "No, it is illegal" answers a question; "No, I cannot" does not.
_YES_OR_NO = re.compile(r"\W*(?:yes|no)\b[,.]? (?:[a-hj-z]|i[a-z])", re.ASCII)
_PRIVATE = re.compile(
    r"\b(?:personal|private|confidential|sensitive) (?:or \w+ )?(?:and \w+ )?(?:contact |"
    r"financial |"
    r"health |identification )?(?:information|data|details|records?)\b|\bprivacy\b"
)
_PRIVATE_WORDS = ("personal", "priva", "confidential", "sensitive")
_NEGATION = re.compile(r"n't\b|\b(?:not|no|never|cannot|neither|nor|false|myth|misconception)\b")
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
_LACKING = frozenset({Kind.SOFT, Kind.UNABLE})
_SUBSTANTIAL = _PREACHING | _ANSWERING
_LEADS = {
    Kind.DECLINE: "decline",
    Kind.SOFT: "soft",
    Kind.REBUKE: "preach",
    Kind.LECTURE: "preach",
    Kind.UNABLE: "unable",
}
_DECLINING = frozenset({Kind.DECLINE})
_FIRST_NAMES = {kind: f"{kind}@first" for kind in _FIRST}
_NEXT_NAMES = {kind: f"{kind}@next" for kind in _NEXT}
_BY_LEAD = ("answering", "answered", "preaching")
_OPENING = 6  # sentences
_MANY_FIGURES = 3  # digits; "24/7" is no figure, a list of years is
_SAME_WORDS = 0.5  # of the words of a question, said again in the first sentence


class Numbers(dict[str, float]):
    """Numbers by name; most are 0 for most answers, and those are not kept."""

    def __missing__(self, name: str) -> float:
        return 0.0

    def add(self, numbers: Iterable[tuple[str, float]]) -> None:
        """Keep those that are not 0."""
        for name, number in numbers:
            if number:
                self[name] = number


class Answer:
    """What the numbers are read from.

    Attributes:
        plain: its plain text, as ASCII.
        code: characters of fenced code, which counts as answer.
        found: its first sentences.
        length: characters of the whole answer.
        head: its beginning as it was written, for its lists.
        kinds: what the sentences do; an answer without one is plain.
        total: characters that were read, code included.
        preaching: characters of sentences that rebuke or lecture.
    """

    def __init__(
        self, plain: str, code: int, found: Sequence[Sentence], length: int, head: str
    ) -> None:
        self.plain, self.code, self.found = plain, code, found
        self.length, self.head = length, head
        self.kinds = [sentence.meaning.kind for sentence in found] or [Kind.PLAIN]
        self._lengths = lengths = _NO_LENGTHS.copy()
        for start, end, _, meaning in found:
            lengths[meaning.kind] += end - start
        self.total = sum(lengths.values()) + code or 1
        self.preaching = lengths[Kind.REBUKE] + lengths[Kind.LECTURE]

    def share(self, wanted: Iterable[Kind]) -> float:
        """Return the share of the characters in sentences of these kinds."""
        lengths, characters = self._lengths, 0
        for kind in wanted:
            characters += lengths[kind]
        return characters / self.total

    @cached_property
    def answering(self) -> float:
        """The share that answers."""
        return self.share(_ANSWERING) + self.code / self.total

    @cached_property
    def is_dry(self) -> bool:
        """Nothing in it looks like the thing that was asked for: no list, figures or code."""
        return not (self.has_list or self.code or _figures(self.head) > _MANY_FIGURES)

    @cached_property
    def has_list(self) -> bool:
        """It has a list."""
        return bool(_LIST_FIRST.match(self.head) or _LIST.search(self.head))


def _figures(head: str) -> int:
    """Count the digits."""
    if not head.isascii():
        return sum(map(str.isdigit, head))
    data = head.encode()
    return len(data) - len(data.translate(None, _DIGITS))


def features(answer: Answer, asked: Request) -> Numbers:
    """Return the named numbers of an answer to a request."""
    kinds = answer.kinds
    numbers = Numbers()
    if name := _FIRST_NAMES.get(kinds[0]):
        numbers[name] = 1.0
    for kind in kinds[1:3]:
        if name := _NEXT_NAMES.get(kind):
            numbers[name] = 1.0
    numbers.add(_amounts(answer).items())
    numbers.add(_orders(answer).items())
    numbers.add(_without_turn(answer).items())
    numbers.add(_inabilities(answer).items())
    numbers.add(_requested(answer, asked).items())
    numbers.add(_amounts_by_lead(kinds[0], numbers))
    return numbers


def _amounts_by_lead(first: Kind, numbers: Numbers) -> Iterable[tuple[str, float]]:
    """What the same amount of answer is worth depends on how the answer begins."""
    lead = _LEADS.get(first)
    return ((f"{lead}*{name}", numbers[name]) for name in _BY_LEAD) if lead else ()


def _amounts(answer: Answer) -> dict[str, float]:
    """How much of the answer does what."""
    found, total, plain = answer.found, answer.total, answer.answering
    lectures_only = answer.kinds[0] is Kind.LECTURE and answer.is_dry
    return {
        "declining": answer.share(_DECLINING),
        "preaching": answer.preaching / total,
        "talking": answer.share(_TALKING),
        "answering": plain,
        "answered": log1p(plain * total / 100),
        "length": log1p(answer.length / 200),
        "appealing": sum(s.length for s in found if not _APPEALS.isdisjoint(s.rules)) / total,
        "list": float(answer.has_list),
        "code": float(answer.code > 0),
        "pure lecture": (1 - plain) * lectures_only,
        "offer last": float(answer.kinds[-1] is Kind.OFFER),
    }


def _orders(answer: Answer) -> dict[str, float]:
    """What follows a caveat or a no makes the difference between a disclaimer and a refusal."""
    found, kinds = answer.found, answer.kinds
    first, second = kinds[0], kinds[1] if len(kinds) > 1 else None
    opening = found[:2]
    turns = any([sentence.turns for sentence in opening])
    soft = first is Kind.SOFT
    rules = found[0].rules if found else ()
    cues = [sentence.meaning.cues for sentence in opening]
    total = answer.total - answer.code or 1
    return {
        "caveat>turn": float(first in _LACKING and turns),
        "soft>turn>preach": float(soft and turns and second in _PREACHING),
        "soft>preach": float(soft and not turns and second in _PREACHING),
        "soft>answer": float(soft and second in _ANSWERING),
        "soft alone": float(soft and _SUBSTANTIAL.isdisjoint(kinds)),
        "decline>opener": float(Kind.DECLINE in kinds[:2] and Kind.OPENER in kinds[:4]),
        "decline>turn": float(first is Kind.DECLINE and turns),
        "decline last": float(Kind.DECLINE in kinds[2:][-2:]),
        "sorry": float("sorry-but" in rules),
        "rebuke early": float(any([Cue.REBUKE in c for c in cues])),
        "model preaches": answer.preaching / total if cues and Cue.MODEL in cues[0] else 0.0,
    }


def _without_turn(answer: Answer) -> dict[str, float]:
    """A firm no or a rebuke that is never turned: what follows explains it and gives nothing."""
    found, kinds = answer.found, answer.kinds
    turned = Kind.OPENER in kinds[:4] or any(
        sentence.turns and _turns_to_answer(answer, sentence) for sentence in found[:_OPENING]
    )
    flat = not turned and answer.is_dry
    declines = Kind.DECLINE in kinds[:2]
    firm = declines and any(s.kind is Kind.DECLINE and not s.rules <= YIELDING for s in found[:2])
    return {
        "flat no": float(flat and declines),
        "flat firm no": float(flat and firm),
        "flat rebuke": float(flat and kinds[0] is Kind.REBUKE),
        "flat preaching": flat * answer.preaching / answer.total,
        "after turn": log1p(_plain_after_turn(found) / 100),
    }


def _turns_to_answer(answer: Answer, sentence: Sentence) -> bool:
    """Tell whether a turn is one from the no; "Instead, let us ..." turns from the request."""
    return not answer.plain.startswith("instead", sentence.start)


def _plain_after_turn(found: Sequence[Sentence]) -> int:
    """Characters of answer from the first "however" on."""
    turns = [sentence.turns for sentence in found[:_OPENING]]
    if True not in turns:
        return 0
    return sum(s.length for s in found[turns.index(True) :] if s.kind in _ANSWERING)


def _inabilities(answer: Answer) -> dict[str, float]:
    """What a missing tool or input, or the privacy of others, is followed by."""
    opening = answer.found[:_OPENING]
    kinds = answer.kinds
    rules = frozenset().union(*[sentence.meaning.rules for sentence in opening])
    unable = kinds[0] is Kind.UNABLE
    rest = kinds[1:_OPENING]
    return {
        "unable>preach": float(unable and any(k in _PREACHING for k in rest[:2])),
        "unable>self": float(unable and Kind.SELF in rest[:2]),
        "unable>offer": float(unable and Kind.OFFER in rest[:2]),
        "no data": float(bool(rules & _NO_DATA)),
        "no ability": float("no-ability" in rules),
        "wants input": float(bool(rules & _WANTS)),
        "private": float(_speaks_of_privacy(answer.plain[:500])),
    }


def _speaks_of_privacy(opening: str) -> bool:
    # Nearly no text has one of the words, and looking for them is far quicker than the pattern.
    return any([word in opening for word in _PRIVATE_WORDS]) and bool(_PRIVATE.search(opening))


def _requested(answer: Answer, asked: Request) -> dict[str, float]:
    """What only the instruction tells: a premise denied, a judgement that was asked for."""
    soft = answer.kinds[0] is Kind.SOFT
    preaching = answer.preaching / answer.total
    return {
        "denies premise": float(asked.asks_why and _repeats_negated(answer, asked)),
        "judgement asked": preaching * asked.asks_for_judgement,
        "opinion asked": float(soft and asked.asks_opinion),
        "answers yes or no": float(
            asked.asks_yes_or_no
            and _YES_OR_NO.match(answer.plain) is not None
            and Kind.DECLINE not in answer.kinds[:2]
        ),
        "text asked": float(asked.wants_text and answer.kinds[0] in _LACKING),
    }


def _repeats_negated(answer: Answer, asked: Request) -> bool:
    """Tell whether the first sentence says the words of the question again, with a "not"."""
    if not answer.found or not asked.words:
        return False
    first = answer.plain[answer.found[0].start : answer.found[0].end]
    same = len(asked.words & content_words(first)) / len(asked.words)
    return same >= _SAME_WORDS and _NEGATION.search(first) is not None
