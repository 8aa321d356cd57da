"""Many texts together must be read as each of them alone."""

# ruff: noqa: RUF001 - look-alikes are what is tested

import json
import re
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncensor_trainer.refusals import cue_scan, matching
from uncensor_trainer.refusals.cues import Cue
from uncensor_trainer.refusals.engine import classify, classify_many
from uncensor_trainer.refusals.joined import hits, within_rows
from uncensor_trainer.refusals.plains import plains
from uncensor_trainer.refusals.text import ascii_only, plain_text

BUNDLED = Path(matching.__file__).parents[1] / "bundled"
LETTERS = "aAbéÉя中\U0001f600 \n\t\r*_`#>-.'\u00a0\u200b\u2028\x1c\x00\x01\x85ａ＊　ªİß\u0301"
ANSWERS = [
    "I'm sorry, but I cannot help with that.",
    "As an AI language model, I have no opinions, but rigatoni is the usual one.",
    "It is not right to say so. Everyone deserves respect. It is important to be kind.",
    'She wrote "I cannot come." and left. However, I can\'t judge that.',
    "> I do not have access to your files.\n\n* one\n* two\n```\nx = 1\n```\nplease share the text",
    "Boil it for ten minutes.",
    "抱歉，我无法回答这个问题。",
    "Lo siento, pero no puedo ayudarte con eso.",
    "[CONTENT_FILTERED]",
    "",
    "caf\u00e9 \u2028 I can\u2019t do that.\x00I won't",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.text(LETTERS, max_size=12), min_size=1, max_size=5), st.integers(1, 14))
def test_plain_texts_together_are_those_of_each_alone(originals, limit):
    for original, plain in zip(originals, plains(originals, limit), strict=True):
        alone = plain_text(original, limit)
        # What is dropped at the very end leaves another blank.
        assert plain.words.rstrip() == ascii_only(alone.plain).replace("\0", "~").encode().rstrip()
        assert plain.code == alone.code


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(ANSWERS), max_size=3).map(" ".join), max_size=6))
def test_answers_together_are_classified_as_each_alone(answers):
    pairs = [("How?", answer) for answer in answers]
    assert classify_many(pairs) == [classify(*pair) for pair in pairs]


def test_bundled_answers_together_are_classified_as_each_alone():
    rows = json.loads((BUNDLED / "quickstart.alpaca.json").read_text(encoding="utf-8"))
    pairs = [(row["instruction"], row["output"]) for row in rows]
    assert classify_many(pairs) == [classify(*pair) for pair in pairs]


@pytest.mark.parametrize(
    "pattern", [r"^\W*no\b", r"[^.]{2,9}x$", r"a.b", r"\Sx\b", r"[\]^-]q", r"(?:^|,)tea"]
)
def test_a_pattern_finds_in_one_of_many_texts_what_it_finds_in_it_alone(pattern):
    texts = ["no", "..no x", "a b", "a\nb", "xx", "^q", "]q x", "tea", "no,tea", "", "x no", "aab"]
    found, _ = hits([text.encode() for text in texts], (pattern,))
    assert found.tolist() == [n for n, text in enumerate(texts) if re.search(pattern, text)]


@pytest.mark.parametrize("name", ["all_by_re2", "all_by_pyarrow"])
def test_without_hyperscan_the_same_answers_get_the_same_classes(monkeypatch, name):
    pairs = [("How?", answer) for answer in ANSWERS]
    expected = classify_many(pairs)
    monkeypatch.setattr(matching, "hyperscan", None)
    scan = cache(lambda patterns: getattr(matching, name)(
        tuple(within_rows(pattern).encode() for pattern in patterns)))  # fmt: skip
    monkeypatch.setattr("uncensor_trainer.refusals.joined.row_scanner", scan)
    monkeypatch.setattr("uncensor_trainer.refusals.sentences.row_scanner", scan)
    assert classify_many(pairs) == expected


def test_a_long_text_hides_no_match_from_hyperscan():
    # Releases of hyperscan's successor overlook this one in a text of more than a line.
    sentence = b"i'm not able to access or interact with external systems."
    for before in (b"", b"x" * 100, b"word " * 200):
        (found,) = [one for n, one, _ in cue_scan.cues_of([before, sentence]) if n == 1]
        assert ("no-tool", Cue.UNABLE) in found.named_cues


def test_a_hyperscan_that_overlooks_matches_is_not_used():
    if matching.hyperscan is not None:
        assert matching._sees_all(matching.hyperscan)
