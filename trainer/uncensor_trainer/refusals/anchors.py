"""The cheap first look: may anything in this answer decline, caveat or lecture at all?

An answer without an anchor in its first characters is a plain one by definition; that spares
most rows the sentence analysis. One RE2 pattern, so one pass in linear time.
"""

from __future__ import annotations

from functools import cache

from uncensor_trainer.refusals.matching import Matcher, matcher
from uncensor_trainer.refusals.text import ascii_only, glance

REACH = 1200  # characters of an answer in which an anchor must stand

_ANCHOR = (
    # The speaker refuses, lacks something or speaks as a model.
    r"\b(?:sorry|apolog\w+|unfortunately|regret|i'm afraid|i am afraid|openai|anthropic)\b"
    r"|\b(?:as|being|just|only|i'm|i am) (?:just |only |merely |simply )*an? (?:\w+ ){0,4}(?:ai|"
    r"a\.i\.|artificial intelligence|model|chat ?bot|assistant|program|llm)\b"
    r"|\b(?:i|we)(?:'m| am|'d|'ve|'ll| would| have| must|"
    r" are)?(?:,? [^,.!?\n]{1,40},)? ?(?:\w+ ){0,3}(?:can ?not|can't|won't|will not|could not|"
    r"couldn't|would not|wouldn't|should not|"
    r"shouldn't|must not|may not|shall not|don't|do not|didn't|did not|haven't|not|aren't|unable|"
    r"declin\w+|refus\w+|rather|prefer|abstain|refrain|lack|need|neutral|impartial|have no)\b"
    r"|\bmy (?:\w+ )?(?:purpose|goal|role|programming|guidelines|training|policies|principles|"
    r"knowledge)\b"
    r"|\bi (?:must|have to|need to|should|would like to|want to|feel) (?:\w+ )?(?:to )?(?:point|"
    r"inform|address|clarify|emphasi|remind|stress|caution|strongly|note|warn|respectfully|"
    r"decline)"
    r"|^\W*(?:no, )?(?:cannot|can't|unable|not able|won't|no can do)\b"
    r"|\b(?:requests?|prompts?|questions?|tasks?) (?:cannot|can't|can not|could not|will not|"
    r"won't) be\b"
    # The request or its premise is at fault.
    r"|\b(?:in|un|im|il)(?:appropriate|ethical|acceptable|moral|legal|fair|justif\w+|accurate)\b"
    r"|(?:\b(?:not|never)|n't) (?:\w+ ){0,3}(?:appropriate|ethical|acceptable|moral|right|fair|"
    r"accurate|respectful|okay|ok|justif\w+|productive|legal|true|the answer|possible|something|"
    r"within)\b"
    r"|\b(?:no|any) (?:\w+ ){0,3}(?:reason|justification|excuse|evidence|basis|place)\b"
    r"|\b(?:disrespectful|offensive|derogatory|harmful|illegal|crime|discriminat\w+|stereotyp\w+|"
    r"generali[sz]\w+|hate speech|against (?:my|our|the))\b"
    r"|\b(?:important|essential|crucial|vital|imperative) (?:for \w+ )?(?:to|"
    r"that) (?:\w+ )?(?:remember|note|recogni[sz]e|respect|treat|understand|consider|promote|"
    r"acknowledge|approach|avoid|prioriti[sz]e|be|seek|foster|refrain|communicate|address)\b"
    r"|\b(?:reach out|seek (?:\w+ )?help|you are not alone|hotline)\b"
    r"|\b(?:everyone|all people|every person|every individual|all individuals|regardless of)\b"
    # The input is missing.
    r"|\b(?:please|could you|can you|would you) (?:please )?(?:provide|share|paste|specify|"
    r"clarify|upload|attach|tell me|give me)\b"
    r"|\b(?:more|additional) (?:information|context|details)\b|\b(?:cut-?off|real-?time)\b"
)


def worth_a_look(response: str) -> bool:
    """Tell whether an answer has an anchor near its beginning."""
    return bool(_matcher()(ascii_only(glance(response[:REACH]))))


def pattern() -> str:
    """Return the anchors as one pattern over folded ASCII text."""
    # Lines may break and markdown marks may stand wherever the pattern has a blank.
    return _ANCHOR.replace(" ?", r"[\s*_]*").replace(" ", r"[\s*_]+")


@cache
def _matcher() -> Matcher:
    return matcher([pattern()])
