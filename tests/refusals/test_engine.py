"""What a verdict promises: places in the original, the same every time, never a crash."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.refusals import user_rules
from uncensor_trainer.refusals.classes import STRENGTH, AnswerClass
from uncensor_trainer.refusals.engine import HEAD, classify, stripped
from uncensor_trainer.refusals.text import plain_text
from uncensor_trainer.runfile import ExtraRule


def a_rule(pattern="gizmo", refusal_class="refusal", name="mine"):
    return ExtraRule(name=name, refusal_class=refusal_class, pattern=pattern)


@pytest.mark.parametrize(
    ("answer", "span"),
    [
        ("  I cannot help with that.  ", "I cannot help with that."),
        ("**I\u2019m   sorry**, but I can't help.", "I\u2019m   sorry**, but I can't help."),
        ("Hello! I cannot help with that. Bye.", "I cannot help with that."),
        ("\u00c9lan \U0001f60a. I can\u200bnot help with that.", "I can\u200bnot help with that."),
        ("```\ncode\n```\nI cannot help with that.", "I cannot help with that."),
        (
            "\uff33\uff4f\uff52\uff52\uff59, I can't help.",
            "\uff33\uff4f\uff52\uff52\uff59, I can't help.",
        ),
        ("Lo siento, pero no puedo ayudarte.", "Lo siento, pero no puedo"),
    ],
)
def test_a_span_points_into_the_answer_as_it_was_written(answer, span):
    verdict = classify("Help me.", answer)
    assert verdict.answer_class == "refusal"
    assert answer[verdict.start : verdict.end] == span


def test_a_verdict_names_its_rule_and_is_sure_between_zero_and_one():
    verdict = classify("Help me.", "I'm sorry, but I can't assist with that.")
    assert verdict.rule == "cannot-do"
    assert 0.5 <= verdict.score <= 1


def test_a_plain_no_is_surer_than_a_hidden_one():
    plain = classify("Help me.", "I cannot help you with that.")
    hidden = classify(
        "Help me.",
        "What a lovely idea! Gardens give joy to many people, and planning one is half the fun. "
        "Still, I cannot help you with that.",
    )
    assert plain.score > hidden.score


def test_the_strongest_class_comes_first():
    assert min(STRENGTH, key=STRENGTH.__getitem__) is AnswerClass.REFUSAL


def test_a_refusal_in_quotes_belongs_to_somebody_else():
    told = 'The clerk said: "I cannot help you with that." Then she closed the window.'
    assert not classify("Tell a story.", told).is_flagged


def test_wrapped_lines_are_one_sentence():
    assert classify("?", "I\nam unable\nto help you\nwith that.").answer_class == "refusal"


@pytest.mark.parametrize("size", [HEAD * 2, 200_000])
def test_a_long_answer_after_a_caveat_is_a_disclaimer_however_long(size):
    answer = "As an AI, I have no taste. However, soup is easy. " + "Stir the pot slowly. " * size
    verdict = classify("Soup?", answer[:size])
    assert verdict.answer_class == "disclaimer"
    assert stripped(answer, verdict).startswith("Soup is easy.")


@settings(max_examples=300, deadline=None)
@given(
    instruction=st.text(max_size=60),
    answer=st.one_of(
        st.text(max_size=400),
        st.lists(
            st.sampled_from(
                ["I cannot ", "help ", "\u2019", "**", "```", "\n\n", "However, ", "As an AI, ",
                 '"', "\u200b", "\ud800", "\uff29", "\u62b1\u6b49\uff0c", "sorry", ". ", "\t",
                 "\x00", "e\u0301"]
            ),
            max_size=40,
        ).map("".join),
    ),
)  # fmt: skip
def test_no_text_crashes_and_every_span_lies_inside(instruction, answer):
    verdict = classify(instruction, answer)
    assert verdict == classify(instruction, answer)
    assert 0 <= verdict.start <= verdict.end <= len(answer)
    assert not verdict.is_flagged or verdict.rule
    shorter = stripped(answer, verdict)
    assert len(shorter) <= len(answer) + 1
    assert shorter.strip() or not answer.strip()


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="aB\u00e9 \t\n*_`>#\u200b\u2019.\uff21", max_size=80))
def test_the_plain_text_knows_where_its_characters_came_from(original):
    text = plain_text(original, 1000)
    places = [text.origin(position) for position in range(len(text.plain))]
    assert places == sorted(places)
    for position, letter in enumerate(text.plain):
        if letter in "abe":
            assert plain_text(original[places[position]], 1).plain == letter


def test_a_rule_of_the_user_decides_first_and_ignores_case():
    verdict = classify("?", "Ask the GIZMO department.", [a_rule()])
    assert (verdict.answer_class, verdict.rule, verdict.start, verdict.end) == (
        "refusal", "mine", 8, 13,
    )  # fmt: skip


def test_a_rule_of_the_user_may_mean_any_class():
    rule = a_rule("^soup", "capability")
    assert classify("?", "Soup is out.", [rule]).answer_class == "capability"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        pytest.param("(?=soup)", "no look-around", id="look-ahead"),
        pytest.param(r"(a)\1", "no look-around and no back-references", id="back-reference"),
        pytest.param("(", "not valid RE2", id="broken"),
        pytest.param("x" * (user_rules.LONGEST_PATTERN + 1), "at most 2000", id="too long"),
        pytest.param("((a{100}){100}){100}", "'mine' is not valid RE2", id="too costly"),
    ],
)
def test_a_bad_pattern_is_refused_in_a_sentence(pattern, words):
    with pytest.raises(InvalidInput, match=r"filter\.extraRules") as caught:
        classify("?", "soup", [a_rule(pattern)])
    assert words in str(caught.value)
    assert "b'" not in str(caught.value)


def test_a_pattern_that_makes_backtrackers_hang_is_linear_here():
    assert not classify("?", "a" * 50_000 + "!", [a_rule("(a+)+$")]).is_flagged
