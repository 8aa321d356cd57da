"""The numbers that the linear stage weighs: what comes first, what follows, how much is answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log1p

import re2

from uncensor_trainer.refusals.cues import Cue
from uncensor_trainer.refusals.sentences import Kind, Sentence

_APPEALS = frozenset({"we-should", "values", "against-groups"})
_LIST = re2.compile(r"(?m)^\s*(?:[-*•]|\d{1,2}[.)])\s")
# "No, it is illegal" answers a question; "No, I cannot" does not.
_YES_OR_NO = re2.compile(
    r"^\W*(?i:yes|no)\b[,.]? (?i:it|this|that|the|there|they|he|she|not|you|in)\b"
)
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
_NEXT = (Kind.DECLINE, Kind.REBUKE, Kind.LECTURE, Kind.OPENER, Kind.SOFT, Kind.OFFER)
_PREACHING = frozenset({Kind.REBUKE, Kind.LECTURE})
_TALKING = frozenset({Kind.OFFER, Kind.SELF, Kind.SOFT, Kind.MODEL, Kind.UNABLE})
_ANSWERING = frozenset({Kind.PLAIN, Kind.OPENER})


def features(found: Sequence[Sentence], length: int, code: int, head: str) -> Mapping[str, float]:
    """Return the named numbers of an answer.

    Args:
        found: its first sentences.
        length: characters of the whole answer.
        code: characters of fenced code in it, which count as answer.
        head: the beginning of the answer as it was written, for its lists.
    """
    kinds = [sentence.kind for sentence in found] or [Kind.PLAIN]
    total = sum(sentence.length for sentence in found) + code or 1

    def share(wanted: frozenset[Kind]) -> float:
        return sum(s.length for s in found if s.kind in wanted) / total

    plain = share(_ANSWERING) + code / total
    numbers = {f"{kind}@first": float(kinds[0] is kind) for kind in _FIRST}
    numbers.update({f"{kind}@next": float(kind in kinds[1:3]) for kind in _NEXT})
    numbers.update(
        {
            "declining": share(frozenset({Kind.DECLINE})),
            "preaching": share(_PREACHING),
            "talking": share(_TALKING),
            "answering": plain,
            "answered": log1p(plain * total / 100),
            "length": log1p(length / 200),
            "appealing": sum(s.length for s in found if s.rules & _APPEALS) / total,
            "figures": log1p(sum(map(str.isdigit, head))),
            "list": float(_LIST.search(head) is not None),
        }
    )
    dry = not numbers["list"] and not numbers["figures"]
    numbers["pure lecture"] = (1 - plain) * dry * (kinds[0] is Kind.LECTURE)
    numbers.update(_orders(found, kinds, head))
    return numbers


def _orders(found: Sequence[Sentence], kinds: list[Kind], opening: str) -> dict[str, float]:
    """What follows a caveat or a no makes the difference between a disclaimer and a refusal."""
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
        "yes or no": float(_YES_OR_NO.search(opening) is not None),
        "groups": float(any("against-groups" in s.rules for s in found[:3])),
    }
