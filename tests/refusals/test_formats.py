import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uncensor_trainer.data import readers
from uncensor_trainer.data.formats import BadRow, Row, read_rows
from uncensor_trainer.exits import InvalidInput

ROWS = {
    "alpaca": {"instruction": "Q", "input": "", "output": "A"},
    "sharegpt": {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
    "messages": {
        "messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    },
    "prompt-completion": {"prompt": "Q", "completion": "A"},
}

KEYS = ["instruction", "output", "conversations", "from", "value", "messages", "role", "content"]


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_each_format_is_detected_and_reads_the_same(tmp_path, name, suffix):
    path = tmp_path / f"rows.{suffix}"
    path.write_text(json.dumps([ROWS[name]] if suffix == "json" else ROWS[name]))
    (row,) = read_rows([path], "auto")
    assert [(m.role, m.content) for m in row.messages] == [("user", "Q"), ("assistant", "A")]


def test_parquet_reads_like_json(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([ROWS["alpaca"]]), tmp_path / "a.parquet")
    (row,) = read_rows([tmp_path / "a.parquet"], "auto")
    assert isinstance(row, Row)


def told_about(path, data_format):
    """Return what the reader says, be it about a row or the whole file; nothing else may happen."""
    try:
        rows = list(read_rows([path], data_format))
    except InvalidInput as error:
        return str(error)
    return "; ".join(f"{row.reason} {row.snippet}" for row in rows if isinstance(row, BadRow)) or (
        f"{len(rows)} rows"
    )


def alpaca(**changes):
    return json.dumps({**ROWS["alpaca"], **changes})


def conversation(*turns):
    return json.dumps({"conversations": [{"from": role, "value": text} for role, text in turns]})


@pytest.mark.parametrize(
    ("data_format", "value", "reason"),
    [
        pytest.param("alpaca", '{"instruction": "Q"}', "output is absent", id="no answer"),
        pytest.param("alpaca", alpaca(output=None), "output is null, want text", id="null answer"),
        pytest.param("alpaca", alpaca(instruction=3), "is a number, want text", id="number"),
        pytest.param("alpaca", alpaca(instruction=[]), "is a list, want text", id="list"),
        pytest.param("alpaca", alpaca(input={}), "input is an object", id="object"),
        pytest.param("alpaca", alpaca(output=True), "output is true or false", id="boolean"),
        pytest.param("alpaca", alpaca(instruction=" \n"), "empty instruction", id="blank"),
        pytest.param(
            "alpaca", '{"instruction": "Q", ', "line 2, column 22: Expecting", id="torn line"
        ),
        pytest.param("alpaca", "\0" * 40, "line 2, column 1", id="bytes of zero"),
        pytest.param("alpaca", '{"output": "a\0b"}', "line 2, column 14", id="raw NUL"),
        pytest.param("alpaca", alpaca(output="a\0b"), "a NUL character", id="escaped NUL"),
        pytest.param("alpaca", alpaca(output="\ud83d"), "half a character", id="surrogate"),
        pytest.param("alpaca", '{"n": ' + "9" * 5000 + "}", "too many digits", id="long number"),
        pytest.param("alpaca", '{"a":' * 5000, "nested too deeply", id="deep"),
        pytest.param("alpaca", "[1]", "a list, want an object", id="not an object"),
        pytest.param("alpaca", "NaN", "a number, want an object", id="not a number"),
        pytest.param(
            "alpaca", alpaca(output="x" * 1_000_000), "1,000,001 characters", id="giant row"
        ),
        pytest.param(
            "alpaca",
            json.dumps(ROWS["messages"]),
            "has the fields of messages, and the data set is alpaca",
            id="mixed formats",
        ),
        pytest.param("sharegpt", '{"conversations": []}', "not a list with turns", id="no turns"),
        pytest.param("sharegpt", '{"conversations": ["a"]}', "holds text", id="turn is text"),
        pytest.param("sharegpt", conversation(("tool", "x")), "unknown role 'tool'", id="role"),
        pytest.param("sharegpt", conversation(("gpt", "A")), "the user's", id="answer first"),
        pytest.param("sharegpt", conversation(("human", "Q")), "no answer", id="question only"),
        pytest.param(
            "sharegpt",
            conversation(("human", "Q"), ("gpt", "A"), ("gpt", "B")),
            "a turn of assistant follows a turn of assistant",
            id="two answers",
        ),
        pytest.param(
            "sharegpt",
            conversation(("human", "Q"), ("system", "S"), ("gpt", "A")),
            "a turn of system follows",
            id="system in the middle",
        ),
        pytest.param(
            "messages",
            '{"messages": [{"role": "user", "content": [{"type": "text"}]}]}',
            "content is a list, want text",
            id="parts",
        ),
    ],
)
def test_a_malformed_row_is_set_aside_and_the_others_stay(tmp_path, data_format, value, reason):
    path = tmp_path / "rows.jsonl"
    well_formed = json.dumps(ROWS[data_format])
    path.write_text(f"{well_formed}\n{value}\n{well_formed}")
    good, bad, good_too = read_rows([path], data_format)
    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert bad.snippet.encode()
    assert len(bad.snippet) <= 200
    assert (good.index, bad.index, good_too.index) == (0, 1, 2)


def test_a_line_that_is_not_utf_8_is_set_aside(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"instruction": "\xff"}\n' + alpaca().encode())
    bad, good = read_rows([path], "alpaca")
    assert bad.reason == "line 1, byte 18: not UTF-8"
    assert isinstance(good, Row)


def test_a_line_too_long_to_read_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LONGEST_LINE_BYTES", 1000)
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{alpaca()}\n{alpaca(output='x' * 5000)}\n{alpaca()}")
    good, bad, good_too = read_rows([path], "auto")
    assert "line 2: longer than" in bad.reason
    assert (good.index, good_too.index) == (0, 2)


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda text: b"\xef\xbb\xbf" + text.encode(), id="byte order mark"),
        pytest.param(lambda text: text.replace("\n", "\r\n").encode(), id="Windows lines"),
        pytest.param(lambda text: b"\n\n" + text.encode() + b"\n\n", id="blank lines"),
    ],
)
def test_marks_of_other_systems_change_nothing(tmp_path, suffix, write):
    path = tmp_path / f"rows.{suffix}"
    path.write_bytes(write(f"{alpaca()}\n{alpaca()}"))
    assert [type(row) for row in read_rows([path], "auto")] == [Row, Row]


@pytest.mark.parametrize(
    "document",
    [
        pytest.param([ROWS["alpaca"]], id="list"),
        pytest.param(ROWS["alpaca"], id="one row"),
        pytest.param(ROWS["sharegpt"], id="one row with a list"),
        pytest.param({"version": 1, "data": [ROWS["alpaca"]]}, id="list in an object"),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_document_gives_its_rows_however_it_is_written(tmp_path, document, indent):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(document, indent=indent))
    (row,) = read_rows([path], "auto")
    assert [message.content for message in row.messages] == ["Q", "A"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param('"text"', "holds text; want a list of objects", id="text"),
        pytest.param("3", "holds a number", id="number"),
        pytest.param("null", "holds null", id="null"),
        pytest.param("[]", "is empty", id="empty list"),
        pytest.param("", "is empty", id="no bytes"),
        pytest.param(" \n", "is empty", id="blank"),
        pytest.param("[1, 2]", "Fields found: none", id="numbers"),
        pytest.param("{}", "Fields found: none", id="empty object"),
        pytest.param("[" * 5000, "nested too deeply", id="deep"),
        pytest.param('{"a":' * 5000, "nested too deeply", id="deep objects"),
        pytest.param("[" + "9" * 5000 + "]", "too many digits", id="long number"),
        pytest.param('[{"output": "a\0b"}]', "line 1, column 15", id="NUL"),
        pytest.param(
            '{"instruction": ["Q"], "output": ["A"]}', "several lists", id="a list for each field"
        ),
        pytest.param(f"{alpaca()}\n{{", "line 2, column 2", id="torn line in a .json"),
    ],
)
def test_a_document_that_holds_no_rows_is_refused_with_the_reason(tmp_path, content, told):
    path = tmp_path / "rows.json"
    path.write_text(content)
    assert told in told_about(path, "auto")


def test_a_document_in_another_encoding_is_refused_with_the_line(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes('[\n{"output": "é"}]'.encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"line 2, byte 14 of the file is 0xe9.*Save it as UTF"):
        list(read_rows([path], "auto"))


def test_a_document_too_large_for_memory_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "LARGEST_DOCUMENT_BYTES", 20)
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([ROWS["alpaca"]]))
    with pytest.raises(InvalidInput, match="JSON lines"):
        list(read_rows([path], "auto"))


def test_unreadable_json_is_refused_with_line_and_column(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('[{"instruction": "Q",\n "output" "A"}]')
    with pytest.raises(InvalidInput, match="line 2, column 11"):
        list(read_rows([path], "auto"))


def test_unknown_fields_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "Q", "reply": "A"}')
    with pytest.raises(InvalidInput, match="question, reply"):
        list(read_rows([path], "auto"))


def test_broken_rows_before_the_first_good_one_do_not_hide_the_format(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("{\n" * 60 + alpaca())
    rows = list(read_rows([path], "auto"))
    assert [type(row) for row in rows] == [BadRow] * 60 + [Row]


def test_a_file_of_broken_rows_only_is_refused_with_the_first_reason(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("not json\n" * 3)
    with pytest.raises(InvalidInput, match="The first row: line 1, column 1"):
        list(read_rows([path], "auto"))


@pytest.mark.parametrize(("max_rows", "wanted"), [(None, 6), (1, 1), (4, 4), (9, 6)])
def test_only_the_first_rows_of_all_files_are_read(tmp_path, max_rows, wanted):
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path in paths:
        path.write_text(f"{alpaca()}\n{{\n{alpaca()}")
    rows = list(read_rows(paths, "auto", max_rows))
    assert [row.index for row in rows] == list(range(wanted))


@pytest.mark.parametrize("names", [("rows.jsonl",), ("a.json", "b.ndjson"), ("rows.parquet",), ()])
def test_an_empty_data_set_is_refused(tmp_path, names):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for name in names:
        (tmp_path / name).touch()
        if name.endswith("parquet"):
            parquet.write_table(pyarrow.table({"instruction": []}), tmp_path / name)
    with pytest.raises(InvalidInput, match="at least one row"):
        list(read_rows([tmp_path / name for name in names], "alpaca"))


@pytest.mark.parametrize(
    ("name", "told"),
    [("gone.jsonl", "does not exist"), ("rows.csv", "is not a data file")],
)
def test_a_file_that_cannot_be_data_is_refused(tmp_path, name, told):
    (tmp_path / "rows.csv").touch()
    with pytest.raises(InvalidInput, match=told):
        list(read_rows([tmp_path / name], "alpaca"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(50) + b"PAR1"])
def test_a_broken_parquet_file_is_refused(tmp_path, content):
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="not readable Parquet"):
        list(read_rows([path], "alpaca"))


def test_a_parquet_row_that_is_not_utf_8_is_set_aside(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    texts = pyarrow.array([b"Q", b"\xff", b"Q"], pyarrow.binary()).view(pyarrow.string())
    table = pyarrow.table({"instruction": texts, "output": ["A"] * 3})
    parquet.write_table(table, tmp_path / "rows.parquet")
    rows = list(read_rows([tmp_path / "rows.parquet"], "auto"))
    assert [type(row) for row in rows] == [Row, BadRow, Row]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=300), suffix=st.sampled_from(["json", "jsonl", "parquet"]))
def test_no_bytes_crash_the_reader(tmp_path, content, suffix):
    path = tmp_path / f"rows.{suffix}"
    path.write_bytes(content)
    assert told_about(path, "alpaca").encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_subnormal=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=JSON, data_format=st.sampled_from(["auto", *ROWS]))
def test_no_value_crashes_the_reader(tmp_path, value, data_format):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([value]))
    assert told_about(path, data_format).encode()
