import gzip
import json

import pyarrow
import pytest
from pyarrow import parquet

from support.filtering import DISCLAIMER, PLAIN, REFUSAL, entries, lines, row, run, talk
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering import Job, Policy, arrays, filter_files, filter_rows, sources

MANY = [row(REFUSAL if n % 7 == 0 else PLAIN, id=n) for n in range(401)]
KEPT = [text for n, text in enumerate(MANY) if n % 7]


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 1000)
    monkeypatch.setattr(sources, "LONGEST_LINE_BYTES", 5000)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("jobs", [1, 3])
def test_kept_lines_are_the_same_bytes_in_the_same_order(tmp_path, jobs):
    (tmp_path / "in.jsonl").write_bytes(lines(*MANY)[:-1])
    tally = run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", jobs=jobs)
    assert (tmp_path / "out.jsonl").read_bytes() == lines(*KEPT)[:-1]
    assert (tally.rows, tally.kept, tally.dropped) == (401, len(KEPT), 401 - len(KEPT))
    found = entries(tmp_path / "out.jsonl", "decisions")
    assert [entry["index"] for entry in found] == list(range(0, 401, 7))
    assert set(found[0]) == {"index", "action", "class", "reasons"}
    assert set(found[0]["reasons"][0]) == {"class", "rule", "start", "end", "turn", "score"}
    assert not list(tmp_path.glob(".*part*"))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("name", ["in.jsonl", "in.jsonl.gz", "in.json"])
def test_broken_lines_are_named_by_line_and_byte(tmp_path, name, jobs):
    good = [row(id=n) for n in range(30)]
    long = '{"instruction": "' + "x" * 20_000 + '", "output": "y"}'
    block = lines(*good) + b"{broken\n\n" + lines(long, *good)
    source = tmp_path / name
    source.write_bytes(gzip.compress(block) if name.endswith("gz") else block)
    tally = run(source, tmp_path / "out.jsonl", jobs=jobs)
    places = [(e["line"], e["offset"]) for e in entries(tmp_path / "out.jsonl", "quarantine")]
    first = len(lines(*good))
    assert places == [(31, first), (33, first + len(b"{broken\n\n"))]
    assert (tally.rows, tally.kept, tally.quarantined) == (62, 60, 2)
    assert (tmp_path / "out.jsonl").read_bytes() == lines(*good, *good)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_file_that_is_one_long_line_is_one_quarantined_row(tmp_path, end):
    (tmp_path / "in.jsonl").write_bytes(b"x" * 50_000 + end)
    tally = run(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert (tally.rows, tally.quarantined) == (1, 1)


def test_files_follow_one_another_even_without_a_last_line_feed(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(row(id=name).encode())
    inputs = (str(tmp_path / "a"), str(tmp_path / "b"))
    filter_files(Job(inputs, str(tmp_path / "out.jsonl"), Policy()))
    assert (tmp_path / "out.jsonl").read_text() == row(id="a") + "\n" + row(id="b")


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("output", ["out.json", "out.jsonl", "out.jsonl.gz"])
def test_an_array_is_read_element_by_element(tmp_path, monkeypatch, indent, output):
    monkeypatch.setattr(arrays, "STEP", 77)  # characters of several bytes are torn
    rows = [json.loads(text) for text in (row("Crème brûlée 🙂 é", id=1), row(REFUSAL), row(id=2))]
    text = json.dumps(rows, indent=indent, ensure_ascii=False)
    (tmp_path / "in.json").write_text(text, encoding="utf-8")
    run(tmp_path / "in.json", tmp_path / output)
    data = (tmp_path / output).read_bytes()
    data = gzip.decompress(data) if output.endswith(".gz") else data
    found = json.loads(data) if output == "out.json" else [
        json.loads(line) for line in data.splitlines()
    ]  # fmt: skip
    assert found == [rows[0], rows[2]]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("[" + row() + "," + row()[:-5], "element 1", id="cut off"),
        pytest.param("[" + row() + " " + row() + "]", "element 1", id="no comma"),
        pytest.param("[" + row() + "] x", "after the ]", id="something follows"),
        pytest.param("[", "element 0", id="only a bracket"),
    ],
)
def test_a_broken_array_is_refused_with_the_place(tmp_path, text, place):
    (tmp_path / "in.json").write_text(text)
    with pytest.raises(InvalidInput, match=place):
        run(tmp_path / "in.json", tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["in.json"]


def test_bad_bytes_in_an_array_harm_their_element_only(tmp_path):
    data = b"[" + row().encode() + b',{"instruction":"a","output":"\xff"},' + row().encode() + b"]"
    (tmp_path / "in.json").write_bytes(data)
    tally = run(tmp_path / "in.json", tmp_path / "out.jsonl")
    assert (tally.kept, tally.quarantined) == (2, 1)
    (bad,) = entries(tmp_path / "out.jsonl", "quarantine")
    assert (bad["line"], bad["offset"]) == (2, len(row()) + 2)


def test_parquet_in_and_out(tmp_path):
    rows = [json.loads(text) for text in (row(id=1), row(REFUSAL, id=2), row(DISCLAIMER, id=3))]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", tmp_path / "out.parquet")
    found = parquet.read_table(tmp_path / "out.parquet")
    assert found.schema == parquet.read_schema(tmp_path / "in.parquet")
    assert [value["id"] for value in found.to_pylist()] == [1, 3]
    assert found.to_pylist()[1]["output"].startswith("The bridge")


def test_zstandard_in_and_out(tmp_path):
    source, output = tmp_path / "in.jsonl.zst", tmp_path / "out.jsonl.zst"
    with pyarrow.CompressedOutputStream(pyarrow.OSFile(str(source), "wb"), "zstd") as file:
        file.write(lines(*MANY))
    run(source, output)
    with pyarrow.CompressedInputStream(pyarrow.OSFile(str(output)), "zstd") as file:
        assert file.read() == lines(*KEPT)


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path, kind):
    whole = lines(*(row(id=n, more=str(n**20)) for n in range(3000)))
    data = gzip.compress(whole) if kind == "gz" else pyarrow.compress(whole, "zstd").to_pybytes()
    (tmp_path / f"in.jsonl.{kind}").write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidInput, match="cut off"):
        run(tmp_path / f"in.jsonl.{kind}", tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == [f"in.jsonl.{kind}"]


def test_an_input_is_never_written_over(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_bytes(lines(row(REFUSAL)))
    (tmp_path / "link.jsonl").hardlink_to(source)
    with pytest.raises(InvalidInput, match="is an input"):
        run(source, tmp_path / "link.jsonl")
    assert source.read_bytes() == lines(row(REFUSAL))


def test_two_things_never_share_a_file(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(lines(row()))
    same = tmp_path / "out.jsonl"
    with pytest.raises(InvalidInput, match="named twice"):
        filter_files(Job((str(tmp_path / "in.jsonl"),), str(same), Policy(), decisions=same))


def test_a_bom_is_no_part_of_the_first_row(tmp_path):
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + lines(row(), row(REFUSAL)))
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == lines(row())


def test_rows_in_memory_are_filtered_one_by_one():
    seen = []
    rows = (json.loads(text) for text in (row(), row(REFUSAL), talk("a", DISCLAIMER)))
    kept = list(filter_rows(rows, Policy(), lambda index, decision: seen.append(index)))
    assert kept[0] == json.loads(row())
    assert kept[1]["conversations"][1]["value"].startswith("The bridge")
    assert seen == [1, 2]


def test_a_malformed_row_in_memory_is_named():
    with pytest.raises(InvalidInput, match="Row 1"):
        list(filter_rows([json.loads(row()), {"instruction": "", "output": "b"}]))
