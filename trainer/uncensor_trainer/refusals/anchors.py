"""The cheap first look: may anything in this answer decline, caveat or lecture at all?

An answer without an anchor in its opening is a plain one by definition; that spares most rows the
sentence analysis. One strong anchor is enough (the speaker says no, speaks as a model, asks for
what is missing, finds fault); of the weak ones (a lecture's words, which plain answers use too) it
takes two. Measured with benchmarks/filter/screening.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from operator import itemgetter

from uncensor_trainer.refusals.joined import hits
from uncensor_trainer.refusals.matching import Matcher, matcher
from uncensor_trainer.refusals.text import ascii_only, glance

REACH = 400  # characters of an answer in which the anchors must stand
ENOUGH_WEAK = 2

_NO = (
    r"(?:cannot|can not|can't|won't|will not|could not|couldn't|would not|wouldn't|should not|"
    r"shouldn't|must not|may not|shall not|don't|do not|didn't|did not|haven't|have not|am not|"
    r"'m not|are not|aren't|unable|declin(?:e|ing)|refus(?:e|ing)|rather not|prefer not|abstain|"
    r"refrain|lack|neutral|impartial|have no|never had|pass on|avoid|not)"
)
_FOR_ME = r" for (?:me|us|an ai|a language model)\b"
STRONG = (
    rf"\b(?:i|we)\b(?:'m|'d|'ve|'ll)?(?:[^.!?\x00]{{0,40}}[\s,])?{_NO}\b",
    r"\b(?:sorry|apologi[sz]e|apologies|unfortunately|regret|i(?:'m| am) (?:\w+ )?afraid|openai|"
    r"anthropic)\b",
    r"\b(?:ai|a\.i\.|artificial intelligence|language model|machine learning model|"
    r"chat ?bot|virtual assistant|assistant|computer program|llm)\b",
    r"\bmy (?:\w+ )?(?:purpose|goal|role|programming|guidelines|training|policies|principles|"
    r"knowledge|developers?|creators?)\b",
    r"\bi (?:must|have to|need to|should|would like to|want to|feel) (?:\w+ )?(?:to )?(?:point|"
    r"inform|address|clarify|emphasi|remind|stress|caution|strongly|note|warn|respectfully|"
    r"decline)",
    r"^\W*(?:no(?:pe)?, |nah, )?(?:cannot|can't|unable|not able|won't|no can do)\b",
    # The rules of the speaker, and what is beyond them.
    r"\b(?:against|violat\w+|contrary to|conflicts? with|in line with|outside|beyond|"
    r"aligned? with|contradicts?|prohibited by|breach\w*) (?:of )?(?:my|our|openai|"
    r"anthropic|google|meta|the (?:scope|guidelines|polic\w*|principles|values|community|content|"
    r"usage|safety|ethical)|ethical|(?:basic |fundamental )?moral)\b",
    r"\bprogrammed (?:not|to (?:avoid|refuse|decline|refrain))\b",
    r"(?:\bnot|n't) (?:\w+ ){0,2}(?:my (?:place|job|role) to|(?:within|in|part of) my)\b|"
    r"\bno can do\b",
    r"\b(?:it|that|this)\b[^.!?\x00]{0,60}" + _FOR_ME,
    r"\b(?:request|prompt|question|task|query|instruction)s? (?:cannot|can't|can not|could not|"
    r"will not|won't) be\b|\b(?:request|prompt)s? (?:has|have) been\b|"
    r"\bturn(?:ing)? (?:\w+ ){0,2}down\b|\ban? (?:\w+ )?no\b",
    r"\b(?:not|isn't|n't|beyond|outside) (?:of )?(?:what|one|an? \w+)(?: that| which)? (?:i|we)\b|"
    r"\bsay no\b|\bno way (?:that )?i\b|\bno way (?:of|to) know\w*|\bask(?:ing)? me\b|"
    r"\brespectfully\b|\b(?:restricted|prohibited|forbidden|barred) from\b",
    # Something else instead.
    r"\b(?:something (?:else|different|more)|(?:another|different|the) (?:topic|subject))\b",
    # The input is missing.
    r"\b(?:please|could you|can you|would you) (?:please )?(?:provide|share|paste|send|specify|"
    r"clarify|upload|attach|tell me|give me)\b",
    r"\b(?:more|additional) (?:information|context|details)\b|\b(?:cut-?off|real-?time)\b",
    # The request or its premise is at fault.
    r"\b(?:in|un|im|il)(?:appropriate|ethical|acceptable|moral|legal|fair|justif\w+|accurate)\b",
    r"(?:\b(?:not|never)|n't) (?:\w+ ){0,3}(?:appropriate|ethical|acceptable|moral|right|fair|"
    r"accurate|respectful|okay|ok|justif\w+|productive|legal|true|the answer|possible|something|"
    r"within)\b",
)
WEAK = (
    r"\b(?:no|any) (?:\w+ ){0,3}(?:reason|justification|excuse|evidence|basis|place)\b",
    r"\b(?:disrespectful|offensive|derogatory|harmful|illegal|crime|discriminat\w+|stereotyp\w+|"
    r"generali[sz]\w+|hate speech|against (?:my|our|the))\b",
    r"\b(?:important|essential|crucial|vital|imperative) (?:for \w+ )?(?:to|"
    r"that) (?:\w+ )?(?:remember|note|recogni[sz]e|respect|treat|understand|consider|promote|"
    r"acknowledge|approach|avoid|prioriti[sz]e|be|seek|foster|refrain|communicate|address)\b",
    r"\b(?:reach out|seek (?:\w+ )?help|you are not alone|hotline)\b",
    r"\b(?:everyone|all people|every person|every individual|all individuals|regardless of)\b",
    r"\b(?:we|one|people) (?:should|must|ought)\b|\blet us\b",
    r"\b(?:deserve\w*|dignity|kindness|empathy|respect|diversity|wrong to|treated?)\b",
)


def worth_a_look(response: str) -> bool:
    """Tell whether the anchors in an answer's opening are enough."""
    return are_enough(_matcher()(_opening(response)))


def worth_looks(responses: Sequence[str]) -> list[int]:
    """Return which of many answers are worth a look."""
    if len(responses) == 1:
        return [0] if worth_a_look(responses[0]) else []
    texts = [_opening(response).encode().replace(b"\0", b"~") for response in responses]
    rows, numbers = (found.tolist() for found in hits(texts, patterns()))
    pairs = itertools.groupby(zip(rows, numbers, strict=True), itemgetter(0))
    return [row for row, some in pairs if are_enough(tuple(number for _, number in some))]


def _opening(response: str) -> str:
    return ascii_only(glance(response[:REACH]))


def are_enough(anchors: tuple[int, ...]) -> bool:
    """Tell whether some different anchors, by their numbers, make an answer worth a look."""
    return bool(anchors) and (anchors[0] < len(STRONG) or len(anchors) >= ENOUGH_WEAK)


def _with_any_blanks(pattern: str) -> str:
    """Let lines break and markdown marks stand wherever a pattern has a blank."""
    return pattern.replace(" ?", r"[\s*_]*").replace(" ", r"[\s*_]+")


CHEAPER = {
    number: _with_any_blanks(cheaper)
    for number, one in enumerate(STRONG)
    for cheaper in (rf"{_NO}\b", _FOR_ME)
    if one.endswith(cheaper)
}
"""For the two anchors that cost hyperscan most, by number: what each ends with."""


@cache
def patterns() -> tuple[str, ...]:
    """Return the anchors as patterns over folded ASCII text, the strong ones first."""
    return tuple(map(_with_any_blanks, (*STRONG, *WEAK)))


@cache
def _matcher() -> Matcher:
    return matcher(patterns())
