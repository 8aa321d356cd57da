"""hyperscan, RE2 and pyarrow must give the same answer for every pattern, or a verdict would
depend on which of them is installed.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncensor_trainer.refusals import anchors, languages, matching
from uncensor_trainer.refusals.cue_patterns import PATTERNS
from uncensor_trainer.refusals.text import ascii_only, plain_text

BUNDLED = Path(matching.__file__).parents[1] / "bundled"
SETS = {
    "cues": tuple(pattern.pattern for pattern in PATTERNS),
    "anchors": anchors.patterns(),
    "languages": languages.LATIN,
}
WORDS = [
    "i",
    "we",
    "cannot",
    "can't",
    "won't",
    "am",
    "unable",
    "not",
    "help",
    "write",
    "provide",
    "sorry",
    "but",
    "however",
    "as",
    "an",
    "ai",
    "language",
    "model",
    "it",
    "is",
    "never",
    "appropriate",
    "to",
    "for",
    "me",
    "important",
    "respect",
    "should",
    "please",
    "text",
    "personal",
    "opinions",
    "my",
    "programming",
    ",",
    ".",
    "!",
    "'",
    "-",
    "don't",
    "have",
    "access",
    "real-time",
    "yes",
    "no",
    "puedo",
    "ich",
    "nicht",
]

needs_hyperscan = pytest.mark.skipif(
    matching.hyperscan is None, reason="hyperscan has no wheel for this platform"
)


@needs_hyperscan
@pytest.mark.parametrize("name", SETS)
def test_both_matchers_agree_on_the_bundled_answers(name):
    rows = json.loads((BUNDLED / "quickstart.alpaca.json").read_text(encoding="utf-8"))
    answers = [row["output"] for row in rows] + ["Lo siento, pero no puedo ayudarte con eso."]
    texts = [ascii_only(plain_text(answer, 1000).plain) for answer in answers]
    fast, slow = matching.by_hyperscan(SETS[name]), matching.by_re2(SETS[name])
    found = [fast(text) for text in texts]
    assert found == [slow(text) for text in texts]
    assert any(found)


@needs_hyperscan
@pytest.mark.parametrize("name", SETS)
@settings(max_examples=150, deadline=None)
@given(words=st.lists(st.sampled_from(WORDS), max_size=30))
def test_both_matchers_agree_on_word_salad(name, words):
    text = " ".join(words)
    assert matching.by_hyperscan(SETS[name])(text) == matching.by_re2(SETS[name])(text)


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=25, deadline=None)
@given(words=st.lists(st.sampled_from(WORDS), max_size=30))
def test_pyarrow_agrees_with_re2_on_word_salad(name, words):
    text = " ".join(words)
    assert matching.by_pyarrow(SETS[name])(text) == matching.by_re2(SETS[name])(text)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([b"i can", b"\0", b"\xe9", b" tea", b"a"]), max_size=9).map(b"".join)
)
def test_pyarrow_and_re2_find_the_same_places(data):
    patterns = (rb"\x00i can", rb"[\x80-\xff]", rb"\bcan\b", rb"^\W*tea", rb"a")
    found = [scan(patterns)(data) for scan in (matching.all_by_re2, matching.all_by_pyarrow)]
    assert [numbers.tolist() for numbers in found[0]] == [numbers.tolist() for numbers in found[1]]


@pytest.mark.parametrize("name", SETS)
def test_every_pattern_fits_into_the_memory_of_re2(name):
    matching.by_re2(SETS[name])("i am sorry, but i cannot help you with that.")


def test_every_pattern_has_a_name_of_its_own():
    names = [pattern.name for pattern in PATTERNS]
    assert len(names) == len(set(names))


def test_without_hyperscan_the_reference_is_asked(monkeypatch):
    monkeypatch.setattr(matching, "hyperscan", None)
    assert matching.matcher(["soup", "tea"])("a pot of tea") == (1,)


def test_without_re2_pyarrow_is_asked(monkeypatch):
    monkeypatch.setattr(matching, "hyperscan", None)
    monkeypatch.setattr(matching, "re2", None)
    assert matching.matcher(["soup", "tea"])("a pot of tea") == (1,)
    assert matching.scanner([b"soup", b"tea"])(b"a pot of tea")[1].tolist() == [12]
