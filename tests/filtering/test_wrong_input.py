"""Wrong files: every row is kept, dropped or quarantined, or the file is refused with a place.

The same in large, with the memory it takes: benchmarks/filter/extremes.py.
"""

import gzip
import json

import pyarrow
import pytest
from pyarrow import parquet

from support.filtering import DISCLAIMER, PLAIN, REFUSAL, entries, lines, row, run
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering import Policy, arrays, quick, rows, sources
from uncensor_trainer.filtering.lines import filter_lines

GOOD = lines(row(id=1), row(REFUSAL), row(id=2))
KEPT = lines(row(id=1), row(id=2))


def zstandard(data):
    return pyarrow.compress(data, "zstd").to_pybytes()


def filtered(folder, name, data, output="out.jsonl", jobs=1):
    (folder / name).write_bytes(data)
    tally = run(folder / name, folder / output, jobs=jobs)
    assert tally.rows == tally.kept + tally.dropped + tally.quarantined
    return tally


def refusal(folder, name, data, output="out.jsonl"):
    """Return what a refusal says; nothing is left behind."""
    with pytest.raises(InvalidInput) as told:
        filtered(folder, name, data, output)
    assert [path.name for path in folder.iterdir()] == [name]
    return str(told.value)


def table_bytes(table, **options):
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("name", ["in.jsonl", "in.json"])
@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n\r\n"], ids=["no byte", "BOM", "blank"])
def test_an_empty_file_has_no_rows(tmp_path, name, data):
    assert filtered(tmp_path, name, data).rows == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""


@pytest.mark.parametrize("name", ["in.jsonl.gz", "in.jsonl.zst", "in.parquet"])
def test_an_empty_file_of_a_kind_that_has_a_head_is_refused(tmp_path, name):
    assert name in refusal(tmp_path, name, b"")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard])
def test_a_compressed_file_is_refused_wherever_it_is_cut_off(tmp_path, pack):
    data = pack(GOOD * 3)
    name = "in.jsonl.gz" if pack is gzip.compress else "in.jsonl.zst"
    for length in range(0, len(data), 5):
        assert "cut off" in refusal(tmp_path, name, data[:length])


@pytest.mark.parametrize("output", ["out.jsonl", "out.parquet"])
def test_parquet_is_refused_wherever_it_is_cut_off(tmp_path, output):
    data = table_bytes(pyarrow.table({"instruction": ["a"] * 9, "output": [PLAIN] * 9}))
    for length in range(0, len(data), 41):
        assert "in.parquet" in refusal(tmp_path, "in.parquet", data[:length], output)


@pytest.mark.parametrize("output", ["out.jsonl", "out.parquet"])
def test_damaged_parquet_is_read_whole_or_refused(tmp_path, output):
    whole = table_bytes(pyarrow.table({"instruction": ["a"] * 9, "output": [PLAIN] * 9}))
    told = set()
    for place in range(4, len(whole), 7):
        data = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        try:
            told.add(filtered(tmp_path, "in.parquet", data, output).rows)
        except InvalidInput as error:
            assert "in.parquet" in str(error)  # noqa: PT017 - some are read, some are refused
    assert told <= {9}


@pytest.mark.parametrize("output", ["out.jsonl", "out.parquet"])
def test_a_text_of_parquet_that_is_not_utf8_harms_its_row_only(tmp_path, output):
    answers = pyarrow.array([b"x", b"\xff", b"z"]).view(pyarrow.string())
    data = table_bytes(pyarrow.table({"instruction": ["a", "b", "c"], "output": answers}))
    tally = filtered(tmp_path, "in.parquet", data, output)
    assert (tally.kept, tally.quarantined) == (2, 1)
    (bad,) = entries(tmp_path / output, "quarantine")
    assert bad["line"] == 2
    assert "utf-8" in str(bad["reason"])


@pytest.mark.parametrize(
    ("column", "output"),
    [
        pytest.param(pyarrow.array([b"\xff"]), "out.jsonl", id="bytes as JSON"),
        pytest.param(pyarrow.array([[b"\xff"]]), "out.jsonl", id="bytes in lists"),
        pytest.param(pyarrow.array([0], pyarrow.timestamp("ms")), "out.parquet", id="time"),
        pytest.param(
            pyarrow.array([[("k", 1)]], pyarrow.map_(pyarrow.string(), pyarrow.int8())),
            "out.parquet",
            id="map",
        ),
    ],
)
def test_values_that_would_not_stay_what_they_are_are_refused(tmp_path, column, output):
    table = pyarrow.table({"instruction": ["a"], "output": ["b"], "more": column})
    told = refusal(tmp_path, "in.parquet", table_bytes(table), output)
    assert "'more'" in told
    assert "Leave it out" in told


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pyarrow.table([["a"], ["b"], ["c"]], names=["instruction", "output", "output"])
    assert "'output'" in refusal(tmp_path, "in.parquet", table_bytes(table))


def test_parquet_rows_that_are_too_long_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LONGEST_LINE_BYTES", 1000)
    texts = [f"{n}" * 2000 for n in range(4)]
    table = pyarrow.table({"instruction": ["a"] * 4, "output": texts})
    told = refusal(tmp_path, "in.parquet", table_bytes(table, use_dictionary=False))
    assert "row group 0" in told


def test_files_whose_values_have_other_types_are_refused(tmp_path):
    (tmp_path / "in.parquet").write_bytes(
        table_bytes(pyarrow.table({"instruction": ["a"], "output": ["b"], "id": [1]}))
    )
    (tmp_path / "two.parquet").write_bytes(
        table_bytes(pyarrow.table({"instruction": ["a"], "output": ["b"], "id": ["x"]}))
    )
    from uncensor_trainer.filtering import Job, filter_files

    inputs = (str(tmp_path / "in.parquet"), str(tmp_path / "two.parquet"))
    with pytest.raises(InvalidInput, match="does not fit the columns"):
        filter_files(Job(inputs, str(tmp_path / "out.parquet"), Policy()))


def test_carriage_returns_at_the_ends_stay(tmp_path):
    filtered(tmp_path, "in.jsonl", GOOD.replace(b"\n", b"\r\n"))
    assert (tmp_path / "out.jsonl").read_bytes() == KEPT.replace(b"\n", b"\r\n")


def test_an_array_with_carriage_returns_and_a_bom_is_read(tmp_path):
    text = json.dumps([json.loads(row()), json.loads(row(REFUSAL))], indent=1)
    data = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    tally = filtered(tmp_path, "in.json", data)
    assert (tally.kept, tally.dropped) == (1, 1)


def test_a_bom_between_two_joined_files_harms_one_row(tmp_path):
    tally = filtered(tmp_path, "in.jsonl", GOOD + b"\xef\xbb\xbf" + GOOD)
    assert (tally.rows, tally.quarantined) == (6, 1)
    assert "BOM" in str(entries(tmp_path / "out.jsonl", "quarantine")[0]["reason"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-le"])
def test_a_file_in_another_encoding_is_quarantined(tmp_path, encoding):
    tally = filtered(tmp_path, "in.jsonl", GOOD.decode().encode(encoding))
    assert tally.kept == 0
    assert tally.rows == tally.quarantined > 2


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        pytest.param(b"\0\0]", "element 1 (byte {n})", "Expecting value", id="NUL"),
        pytest.param(b'{"a": no}]', "element 1 (byte {n6})", "Expecting value", id="no JSON"),
        pytest.param(b'{"a":"x}, {"a":"y}]', "element 1 (byte {n12})", "delimiter", id="quotes"),
        pytest.param(b'{"a":"x', "element 1 (byte {n})", "in the middle", id="cut off in a text"),
        pytest.param(b"", "element 1 (byte {n})", "in the middle", id="cut off after a comma"),
        pytest.param(b"[" * 9000, "element 1 (byte {n})", "in the middle", id="deep"),
        pytest.param(b"[" * 99_000, "element 1 (byte {n})", "longer", id="deep and long"),
        pytest.param(b'"' + b"x" * 99_000, "element 1 (byte {n})", "longer", id="long"),
        pytest.param(b"}]", "element 1 (byte {n})", "Expecting value", id="closed twice"),
        pytest.param(b"1 2]", "element 2 (byte {n2})", "want a comma", id="no comma"),
    ],
)
def test_an_array_is_refused_at_the_byte_that_is_wrong(tmp_path, monkeypatch, text, place, problem):
    monkeypatch.setattr(sources, "LONGEST_LINE_BYTES", 50_000)
    monkeypatch.setattr(arrays, "STEP", 100)
    before = b"[" + row().encode() + b","
    told = refusal(tmp_path, "in.json", before + text)
    places = {f"n{n or ''}": len(before) + n for n in (0, 2, 6, 12)}
    assert place.format(**places) in told
    assert problem in told


def test_a_deep_element_harms_no_other(tmp_path):
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    data = b"[" + row().encode() + b"," + deep + b"," + row().encode() + b"]"
    tally = filtered(tmp_path, "in.json", data)
    assert (tally.kept, tally.quarantined) == (2, 1)
    (bad,) = entries(tmp_path / "out.jsonl", "quarantine")
    assert (bad["line"], bad["offset"], bad["reason"]) == (2, len(row()) + 2, "nested too deeply")


def test_elements_are_found_without_msgspec_too(tmp_path, monkeypatch):
    monkeypatch.setattr(quick, "msgspec", None)
    tally = filtered(
        tmp_path, "in.json", b'[1, "a\\"]", null, {"a": [{}]},' + row().encode() + b"]"
    )
    assert (tally.rows, tally.kept) == (5, 1)


@pytest.mark.parametrize("jobs", [1, 3])
def test_very_many_lines_are_filtered_part_by_part(tmp_path, monkeypatch, jobs):
    monkeypatch.setattr(sources, "MOST_LINES", 7)
    monkeypatch.setattr(sources, "CHUNK", 1500)
    block = b"\n" * 20 + b"x\n" * 30 + lines(*(row("Yes.", id=n) for n in range(50))) + b"x\n" * 9
    tally = filtered(tmp_path, "in.jsonl", block + lines(row(REFUSAL)), jobs=jobs)
    assert (tally.rows, tally.kept, tally.dropped, tally.quarantined) == (90, 50, 1, 39)
    places = [(e["line"], e["offset"]) for e in entries(tmp_path / "out.jsonl", "quarantine")]
    found = [n for n, line in enumerate(block.split(b"\n"), start=1) if line == b"x"]
    assert [line for line, _ in places] == found
    assert all(block[offset : offset + 2] == b"x\n" for _, offset in places)
    assert (tmp_path / "out.jsonl").read_bytes().count(b"\n") == 50


def test_a_long_line_after_very_many_is_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST_LINES", 7)
    monkeypatch.setattr(sources, "LONGEST_LINE_BYTES", 5000)
    tally = filtered(tmp_path, "in.jsonl", b"x\n" * 15 + b"y" * 9000 + b"\n" + GOOD)
    assert (tally.rows, tally.quarantined) == (19, 16)
    assert entries(tmp_path / "out.jsonl", "quarantine")[-1]["line"] == 16


def test_an_element_for_each_of_very_many_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST_LINES", 7)
    tally = filtered(tmp_path, "in.json", b"[" + b"1," * 20 + row().encode() + b"]")
    assert (tally.rows, tally.quarantined) == (21, 20)
    assert entries(tmp_path / "out.jsonl", "quarantine")[-1]["offset"] == 39


def test_a_long_line_of_very_many_values_is_quarantined(monkeypatch):
    monkeypatch.setattr(rows, "LONG", 100)
    monkeypatch.setattr(rows, "MOST_TOKENS", 50)
    many = row(x=[[]] * 60)
    text = row(", [ { " * 60)
    outcome = filter_lines(lines(many, text) + b"{\n", Policy())
    assert [bad.row for bad in outcome.quarantined] == [0, 2]
    assert "more than 50 values" in outcome.quarantined[0].reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        pytest.param('"id": 1, "id": 2', "'id' is there twice", id="a key twice"),
        pytest.param('"id": {"x": 1, "x": 2}', "'x' is there twice", id="a key twice inside"),
        pytest.param('"id": 1e999', "too large", id="a number beyond all"),
    ],
)
def test_a_row_that_would_lose_something_is_quarantined_only_where_it_would_change(more, reason):
    texts = [
        f'{{"instruction": "a", {more}, "output": {json.dumps(t)}}}' for t in (PLAIN, DISCLAIMER)
    ]
    outcome = filter_lines(lines(*texts), Policy())
    assert b"".join(map(bytes, outcome.pieces)) == lines(texts[0])
    (bad,) = outcome.quarantined
    assert (bad.row, outcome.flagged) == (1, [])
    assert reason in bad.reason


def test_half_a_character_in_another_field_survives_a_change():
    text = '{"instruction": "\u00e9", "id": "\\ud800", "output": ' + json.dumps(DISCLAIMER) + "}"
    outcome = filter_lines(lines(text), Policy())
    (changed,) = b"".join(map(bytes, outcome.pieces)).splitlines()
    assert json.loads(changed)["id"] == "\ud800"
