import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncensor_trainer.filtering.quick import NOT_UTF8
from uncensor_trainer.refusals import languages
from uncensor_trainer.refusals.cue_patterns import PATTERNS
from uncensor_trainer.refusals.literals import required
from uncensor_trainer.refusals.matching import all_by_re2, hyperscan, scanner

EDGES = (0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1,
         0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF)  # fmt: skip


def is_utf8(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("scan", [scanner, all_by_re2], ids=["hyperscan", "RE2"])
def test_every_sequence_of_edge_bytes_is_judged_as_python_judges_it(scan):
    found = scan(NOT_UTF8)
    for middle in itertools.product(EDGES, repeat=3):
        data = b"{" + bytes(middle) + b"}"  # a line ends with a brace, so no sequence is cut off
        assert bool(len(found(data)[0])) != is_utf8(data), data


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=12), st.text(max_size=8).map(str.encode)))
def test_any_bytes_are_judged_as_python_judges_them(data):
    data = b"{" + data + b"}"
    assert bool(len(scanner(NOT_UTF8)(data)[0])) != is_utf8(data)


@pytest.mark.skipif(hyperscan is None, reason="hyperscan is not installed")
def test_hyperscan_and_re2_name_the_same_lines():
    data = b'{"a": 1}\n{"a": 2, "a": 3}\n{"b": "\xff"}\n'
    patterns = (b'"a"\\s*:', *NOT_UTF8)
    by_line = [
        {
            (number, data.count(b"\n", 0, end))
            for number, end in zip(*scan(patterns)(data), strict=True)
        }
        for scan in (scanner, all_by_re2)
    ]
    assert by_line[0] == by_line[1]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"\b(?:sorry|apologi[sz]e)\b", {"sorry", "apologi"}),
        (r"cannot|won't", {"cannot", "won't"}),
        (r"(?:very )?important", {"important"}),
        (r"(?:word)+ and more", {"word"}),
        (r"a|important", None),
        (r"\w+", None),
        (r"(", None),
    ],
)
def test_words_that_a_pattern_cannot_do_without(pattern, words):
    assert required(pattern) == (frozenset(words) if words else None)


SENTENCES = ("i'm sorry, but i cannot help with that request.", "it is important to be kind.",
             "lo siento, no puedo ayudarte con eso.", "i do not have access to your files.",
             "as an ai language model, i have no opinions.", "please provide more details.",
             "es tut mir leid, aber ich kann ihnen nicht helfen.")  # fmt: skip


def test_no_pattern_of_ours_matches_without_its_words():
    patterns = [pattern.pattern for pattern in PATTERNS] + list(languages.LATIN)
    seen = 0
    for pattern in patterns:
        words = required(pattern)
        for text in SENTENCES:
            if words and re.search(pattern, text):
                seen += 1
                assert any(word in text for word in words)
    assert seen > 5
