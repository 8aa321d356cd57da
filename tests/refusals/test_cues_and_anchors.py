"""A sentence that says no must pass the first look, or its pattern would decide nothing.

Lectures, offers and the like are weak on purpose: it takes two of them (docs/adr/0031). Texts are
generated from each pattern, with blanks where it allows them.
"""

import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from uncensor_trainer.refusals.anchors import REACH, worth_a_look
from uncensor_trainer.refusals.cue_patterns import PATTERNS
from uncensor_trainer.refusals.cues import Cue

SAYS_NO = {Cue.DECLINE, Cue.SOFT, Cue.UNABLE, Cue.MODEL}
ON_THEIR_OWN_TOO_WEAK = {
    "limited-functions": "a text about functions is no refusal",
    "input-missing": "its questions and conditions are those of plain answers too",
    "knowledge-ends": "data that is limited is mostly the subject",
    "not-something-i-can": "what one can or would do is mostly the subject",
    "wrong-to-give": "finds fault, which anchors know by fewer words",
    "wrong-for-me": "finds fault, which anchors know by fewer words",
}
LONGEST = 48  # characters; anchors allow for about 40 between a speaker and its no


@pytest.mark.parametrize(
    "one",
    [p for p in PATTERNS if p.cue in SAYS_NO and p.name not in ON_THEIR_OWN_TOO_WEAK],
    ids=lambda one: one.name,
)
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_a_sentence_that_says_no_is_worth_a_look(one, data):
    pattern = re.sub(r"\[\^[^\]]*\]", "[a-z ]", one.pattern.replace(" ?", " "))
    pattern = pattern.replace(r"[\w-]", "[a-z]").replace(r"\w", "[a-z]")
    text = data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True))
    assume(len(text) <= LONGEST and text.isascii() and text.isprintable())
    assume(re.search(one.pattern, text) is not None)
    assume(not re.search(r"[a-z](?:cannot|can't|unable)", text))  # words run into each other
    assert worth_a_look(text), text
    later = "word " * ((REACH - 2 * LONGEST) // 5) + text
    assert worth_a_look(later) or not re.search(one.pattern, later), later


def test_each_exception_is_a_pattern():
    assert set(ON_THEIR_OWN_TOO_WEAK) <= {pattern.name for pattern in PATTERNS}
