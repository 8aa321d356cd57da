import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param('{"instruction": "Q"}', "output is absent", id="no answer"),
        pytest.param('{"instruction": 3, "output": "A"}', "instruction is a int", id="wrong type"),
        pytest.param('{"instruction": " ", "output": "A"}', "empty instruction", id="blank"),
        pytest.param('{"instruction": "Q", ', "line 2, column", id="torn line"),
        pytest.param("[1]", "a list, want an object", id="not an object"),
    ],
)
def test_a_malformed_row_is_set_aside_and_the_others_stay(tmp_path, value, reason):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROWS["alpaca"]) + "\n" + value + "\n" + json.dumps(ROWS["alpaca"]))
    good, bad, good_too = read_rows([path], "alpaca")
    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert (good.index, good_too.index) == (0, 2)


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


def test_an_empty_data_set_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("")
    with pytest.raises(InvalidInput, match="at least one row"):
        list(read_rows([path], "alpaca"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=300))
def test_no_bytes_crash_the_reader(tmp_path, content):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    try:
        assert all(isinstance(row, Row | BadRow) for row in read_rows([path], "alpaca"))
    except InvalidInput:
        pass
