"""Screening may call too many answers suspicious, never too few."""

# ruff: noqa: RUF001 - look-alikes are what is tested
import json
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
@given(st.lists(st.sampled_from([*ENGLISH, *PLAIN, "x" * 1195]), max_size=6))
def test_anchors_are_exactly_those_of_the_classifier(answers):
    expected = {n for n, text in enumerate(answers) if anchors.worth_a_look(text)}
    assert screen._anchors()([text[: anchors.REACH] for text in answers]) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=5).map("".join), max_size=5))
def test_without_hyperscan_the_same_answers_are_suspicious(answers):
    fast = screen.suspicious(answers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "hyperscan", None)
        patch.setattr(screen, "_anchors", screen._anchors.__wrapped__)
        patch.setattr(screen, "_phrases", screen._phrases.__wrapped__)
        assert screen.suspicious(answers) == fast


def test_patterns_have_no_blank_in_a_character_class():
    # `loosened` replaces blanks without looking around.
    for pattern in languages.LATIN:
        inside = [part.split("]")[0] for part in pattern.split("[")[1:]]
        assert not any(" " in words for words in inside), pattern
