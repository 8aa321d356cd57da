"""YAML and JSON as nodes: what words mean, on which line they stand, what is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uncensor_operator.api.documents import (
    MAX_BYTES,
    Node,
    UnreadableError,
    data_of,
    decoded,
    is_plain_text,
    node_at,
    parsed,
)


def only(text: str) -> Node:
    (document,) = parsed(text)
    assert document.flaws == ()
    assert document.root is not None
    return document.root


def flaw_of(text: str):
    *_, document = parsed(text)
    assert len(document.flaws) == 1, document
    return document.flaws[0]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("No", "No"),
        ("y", "y"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("3", 3),
        ("-7", -7),
        ("2e-5", 2e-5),
        ("1E4", 1e4),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        ("0x1f", "0x1f"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("2025-01-31", "2025-01-31"),
        ('"3"', "3"),
        ("'true'", "true"),
        ("!!str 3", "3"),
        ("! 3", "3"),
        ("!!int '3'", 3),
        ("9" * 299, int("9" * 299)),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_words_mean_what_yaml_1_2_says(word, value):
    found = data_of(only(f"a: {word}"))["a"]
    assert (found, type(found)) == (value, type(value))


def test_values_know_their_line_and_how_they_were_written():
    root = only('# comment\na: 1\nb:\n\n  c:\n  - 2e-5\n  - x: "y"\nd: |\n  text\n')
    lines = {
        path: node_at(root, path).line
        for path in [("a",), ("b",), ("b", "c"), ("b", "c", 0), ("b", "c", 1, "x"), ("d",)]
    }
    assert list(lines.values()) == [2, 3, 5, 6, 7, 8]
    assert node_at(root, ("b", "c", 0)).text == "2e-5"
    assert node_at(root, ("b", "z")) is None
    assert node_at(root, ("b", "c", 9)) is None


def test_documents_stand_on_their_first_line():
    assert [one.line for one in parsed("a: 1\n---\n\nb: 2\n...\n---\n# x\nc: 3\n")] == [1, 4, 8]


@pytest.mark.parametrize(
    "text",
    ['{"a": [1, {"b": null}], "c": "d\\/e"}', '{\n\t"a":\t[1,\n\t\t{"b": null}],\n"c": "d/e"}'],
    ids=["plain", "tabs"],
)
def test_json_is_read(text):
    assert data_of(only(text)) == {"a": [1, {"b": None}], "c": "d/e"}


def test_aliases_are_read():
    assert data_of(only("a: &x {b: 1}\nc: *x\nd: [*x, *x]")) == {
        "a": {"b": 1},
        "c": {"b": 1},
        "d": [{"b": 1}, {"b": 1}],
    }


def test_carriage_returns_and_a_mark_at_the_start_do_no_harm():
    assert data_of(only(decoded(b"\xef\xbb\xbfa: 1\r\nb: x\r\n"))) == {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    ("text", "line", "path", "words"),
    [
        pytest.param("a: 1\nb: 2\na: 3", 3, ("a",), "twice, first on line 1", id="a key twice"),
        pytest.param("x:\n - a: 1\n   a: 2", 3, ("x", 0, "a"), "twice", id="twice deep inside"),
        pytest.param("a: &x {b: 1}\nc:\n  <<: *x", 3, ("c",), "merge keys", id="merge keys"),
        pytest.param("a: 1\nb: [1, 2", 2, (), "bracket", id="an open bracket"),
        pytest.param('a: "x\nb: 1', 1, (), "quote", id="an open quote"),
        pytest.param("a: b\n\tc: d", 2, (), "begins with a tab", id="a tab"),
        pytest.param("a: b: c", 1, (), "quotes", id="a second colon"),
        pytest.param("a:\n  b: 1\n c: 2", 3, (), "indented", id="wrong indentation"),
        pytest.param("a: 1\n- b", 2, (), "YAML", id="a list in an object"),
        pytest.param("a: {{ .Values.x }}", 1, (), "key is a list or an object", id="a template"),
        pytest.param("a: *nobody", 1, (), "no anchor &nobody", id="no anchor"),
        pytest.param("a: &x [*x]", 1, (), "no anchor &x", id="an anchor inside itself"),
        pytest.param("a: !secret x", 1, (), "tag !secret", id="a tag"),
        pytest.param("a: !!python/object:os.x {}", 1, (), "tag !!python", id="a dangerous tag"),
        pytest.param("a: !!binary aGk=", 1, (), "tag !!binary", id="binary"),
        pytest.param("? [a]\n: b", 1, (), "key is a list", id="a list as key"),
        pytest.param("&k [a]: 1\n? *k\n: 2", 1, (), "key is a list", id="an alias as key"),
        pytest.param("[" * 70 + "]" * 70, 1, (), "nested deeper", id="deep"),
        pytest.param("[" * 100_000, 1, (), "nested deeper", id="very deep"),
        pytest.param("a: %x", 1, (), "needs quotes", id="a special character"),
    ],
)
def test_bad_text_is_explained(text, line, path, words):
    flaw = flaw_of(text)
    assert (flaw.line, flaw.path) == (line, path)
    assert words in flaw.message


def test_documents_before_a_bad_one_are_kept():
    first, second = parsed("a: 1\n---\nb: [")
    assert data_of(first.root) == {"a": 1}
    assert second.root is None


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]"
        for level in range(1, levels + 1)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [bomb(9), "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000))],
    ids=["wide", "deep"],
)
def test_aliases_of_aliases_do_not_unfold(text):
    with pytest.raises(UnreadableError, match="aliases"):
        data_of(only(text))


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        pytest.param(b"a: 1\nb: \xff", 2, "not text in UTF-8 (byte 0xff)", id="not UTF-8"),
        pytest.param("a: ü".encode("utf-16"), 1, "not text in UTF-8", id="UTF-16"),
        pytest.param(b"a: 1\n\x00\x01", 2, "U+0000", id="binary"),
        pytest.param(b"a" * (MAX_BYTES + 1), 1, "at most", id="long"),
    ],
)
def test_bytes_that_are_no_text_are_refused(content, line, words):
    with pytest.raises(UnreadableError) as caught:
        decoded(content)
    assert words in str(caught.value)
    assert caught.value.line == line


@pytest.mark.parametrize("word", ["cosine", "bf16", "a: b", "v1alpha1"])
def test_words_are_plain(word):
    assert is_plain_text(word)


@pytest.mark.parametrize("word", ["2e-5", "1.0", "0", "true", "null", "", "007"])
def test_text_that_looks_like_something_else_is_not_plain(word):
    assert not is_plain_text(word)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_documents_or_an_explanation(content):
    try:
        text = decoded(content)
    except UnreadableError:
        return
    assert all(one.root is not None or one.flaws for one in parsed(text))


@settings(deadline=None)
@given(st.text(alphabet="ab: -[]{}\"'&*!|>#%@\n\t,?1.e~", max_size=60))
def test_any_soup_of_signs_ends_in_documents_or_an_explanation(text):
    for one in parsed(text):
        assert one.root is not None or one.flaws


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"]), max_size=8)
)


@settings(deadline=None)
@given(
    st.recursive(
        PLAIN,
        lambda one: (
            st.lists(one, max_size=3) | st.dictionaries(st.text("abc", min_size=1), one, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_json_comes_back_as_it_was(value):
    assert data_of(only(json.dumps(value, ensure_ascii=False))) == value
