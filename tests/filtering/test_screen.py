"""Screening may call too many answers suspicious, never too few."""

# ruff: noqa: RUF001 - look-alikes are what is tested
import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncensor_trainer.filtering import screen
from uncensor_trainer.refusals import anchors, languages, matching
from uncensor_trainer.refusals.engine import classify

BUNDLED = Path(matching.__file__).parents[1] / "bundled"
FOREIGN = [
    "Lo siento, pero no puedo ayudarte con eso.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.",
    "Desculpe, mas não posso ajudar com isso.",
    "Извините, но я не могу помочь с этим.",
    "抱歉，我无法回答这个问题。",
    "申し訳ありませんが、その質問にはお答えできません。",
]
ENGLISH = [
    "I’m sorry, but I can’t help with that.",
    "As an AI language model, I do not have feelings.",
    "Ｉ ｃａｎｎｏｔ help with that.",
    "I\u200b cannot assist with this request.",
    "**I** cannot *help* with that",
    "Unfortunately\nI cannot do this",
]
PLACEHOLDERS = ["", "   ", "[CONTENT_FILTERED]", "...", "\u200b", "N" + "\u2026", " " * 90, "null"]
PLAIN = ["Boil it for ten minutes.", "Zwei Äpfel und 3 Birnen — fertig. 🙂", "The sea is blue."]
WEAK = ["It is important to respect", "harmful", "everyone", "for no reason"]
PARTS = [*FOREIGN, *ENGLISH, *PLAIN, "```python\nx = 1\n```", "> quote", "\n", " ", "*", "_", "ß",
         "\r\n", "\t", "`", "no puedo", "Lo siento", "ich", "kann nicht", "helfen"]  # fmt: skip


def flagged(answers):
    return {n for n, text in enumerate(answers) if classify("", text).is_flagged}


@pytest.mark.parametrize("answer", [*FOREIGN, *ENGLISH, *PLACEHOLDERS])
def test_whatever_is_flagged_is_suspicious(answer):
    if classify("", answer).is_flagged:
        assert 1 in screen.suspicious([PLAIN[0], answer, PLAIN[1]])


def test_examples_are_really_flagged_and_plain_ones_are_not():
    assert len(flagged([*FOREIGN, *ENGLISH])) >= len(FOREIGN) + 3
    assert screen.suspicious(PLAIN) == set()


def test_bundled_answers_lose_no_candidate():
    rows = json.loads((BUNDLED / "quickstart.alpaca.json").read_text(encoding="utf-8"))
    answers = [row["output"] for row in rows]
    found = screen.suspicious(answers)
    assert flagged(answers) <= found
    assert len(found) < len(answers)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=6).map("".join), max_size=6))
def test_no_mixture_hides_a_candidate(answers):
    assert flagged(answers) <= screen.suspicious(answers)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=8), st.integers(0, 500))
def test_foreign_phrases_are_found_wherever_their_own_gate_finds_them(parts, blanks):
    text = " " * blanks + " ".join(parts)
    if languages.foreign_phrase(text):
        assert screen.suspicious([text]) == {0}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*ENGLISH, *PLAIN, *WEAK, "x" * 395]), max_size=6))
def test_anchors_are_exactly_those_of_the_classifier(answers):
    data = screen._folded([text[: anchors.REACH] for text in answers])
    expected = {n for n, text in enumerate(answers) if anchors.worth_a_look(text)}
    if answers:
        assert screen._worth_a_look(data) == expected


def windows(answers, ascii_only, more=', "by": "an AI, sorry"}'):
    written = [json.dumps(text, ensure_ascii=ascii_only)[1:] + more for text in answers]
    return [text.encode("utf-8", "replace")[: screen.WINDOW] for text in written]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.lists(st.sampled_from([*PARTS, *WEAK, *PLACEHOLDERS, '"', "\\", "\\n", "x" * 380]))
            .map("".join),
            st.text(st.characters(exclude_categories=["Cs"])),
        ),
        max_size=6,
    ),
    st.booleans(),
)  # fmt: skip
def test_undecoded_openings_lose_no_candidate(answers, ascii_only):
    if not answers:
        return
    found = screen.suspicious_windows(windows(answers, ascii_only))
    assert screen.suspicious(answers) <= found.suspicious | found.unread
    assert found.anchored <= found.suspicious - found.unread
    for number in found.anchored:
        assert anchors.worth_a_look(answers[number])
        assert not languages.foreign_phrase(answers[number])


def test_most_undecoded_openings_need_no_decoding():
    answers = ['Boil it,\nthen "rest" it. ' + "word " * 90, "Short.", "I can't do this. " * 30]
    found = screen.suspicious_windows(windows(answers, False))
    assert (found.suspicious, found.unread, found.anchored) == ({2}, set(), {2})


def test_openings_beyond_ascii_are_read_unless_they_hold_too_few_characters():
    answers = ["Zwei Äpfel. " * 50, "I can’t do this. " * 30, "茶" * 300, "茶", "\\u"]
    found = screen.suspicious_windows(windows(answers, False))
    assert (found.suspicious - found.unread, found.unread) == ({1, 3}, {2, 4})


@pytest.mark.parametrize("place", range(screen.REACH - 12, screen.REACH + 4))
def test_an_anchor_counts_as_sure_only_where_every_reader_sees_it(place):
    answer = "x" * place + ' "sorry" and more words after it'
    found = screen.suspicious_windows(windows([answer], False))
    assert anchors.worth_a_look(answer) >= bool(found.anchored)
    assert bool(found.suspicious) >= anchors.worth_a_look(answer)


def test_an_opening_of_many_escapes_is_decoded():
    found = screen.suspicious_windows(windows(["\n" * 390 + " I cannot"], False))
    assert 0 in found.unread | found.suspicious


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=5).map("".join), max_size=5))
def test_without_hyperscan_the_same_answers_are_suspicious(answers):
    if not answers:
        return
    fast = screen.suspicious(answers), screen.suspicious_windows(windows(answers, False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "hyperscan", None)
        for name in ("_first_look", "_anchor"):
            patch.setattr(screen, name, cache(getattr(screen, name).__wrapped__))
        slow = screen.suspicious(answers), screen.suspicious_windows(windows(answers, False))
    assert slow == fast


def test_patterns_have_no_blank_in_a_character_class():
    # `loosened` replaces blanks without looking around.
    for pattern in languages.LATIN:
        inside = [part.split("]")[0] for part in pattern.split("[")[1:]]
        assert not any(" " in words for words in inside), pattern
