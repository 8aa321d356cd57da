"""The audit page and the decisions that people make with it."""

import json
import re

import pytest

from support.filtering import DISCLAIMER, PLAIN, REFUSAL, lines, row, talk
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering import Job, Policy, filter_files
from uncensor_trainer.filtering.annotations import annotations_from, row_hash
from uncensor_trainer.filtering.page import Gallery

EVIL = "I'm sorry, but I cannot </script><script>alert(1)</script><!-- \u2028 help with that."


def audited(tmp_path, *rows, jobs=1, **policy):
    (tmp_path / "in.jsonl").write_bytes(lines(*rows))
    job = Job(
        (str(tmp_path / "in.jsonl"),), str(tmp_path / "out.jsonl"), Policy(**policy),
        report=tmp_path / "report.html", jobs=jobs,
    )  # fmt: skip
    tally = filter_files(job)
    return tally, (tmp_path / "report.html").read_text(encoding="utf-8")


def island(html):
    return json.loads(
        re.search(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)[1]
    )


def test_the_page_holds_counts_and_flagged_rows(tmp_path):
    _, html = audited(tmp_path, row(), row(REFUSAL), talk("a", PLAIN, "b", DISCLAIMER))
    data = island(html)
    assert [entry["index"] for entry in data["flagged"]] == [1, 2]
    refusal, disclaimer = (entry["turns"][0] for entry in data["flagged"])
    assert refusal["head"] + refusal["span"] + refusal["tail"] == REFUSAL
    assert disclaimer["stripped"].startswith("The bridge")
    assert disclaimer["turn"] == 3


def test_nothing_of_the_data_becomes_markup(tmp_path):
    _, html = audited(tmp_path, row(EVIL, "<img src=x onerror=alert(1)>"))
    assert html.count("</script>") == 2
    assert "<img" not in html
    assert island(html)["flagged"][0]["turns"][0]["asked"].startswith("<img")
    assert "default-src 'none'" in html
    assert not re.search(r"(?:src|href)=.?https?:", html)


def test_the_page_is_the_same_with_several_processes(tmp_path):
    rows = [row(REFUSAL if n % 3 else PLAIN, id=n) for n in range(40)]
    assert audited(tmp_path, *rows)[1] == audited(tmp_path, *rows, jobs=2)[1]


def test_other_policies_are_compared(tmp_path):
    _, html = audited(tmp_path, row(), row(REFUSAL), row(DISCLAIMER))
    table = re.search(r'<table id="policies">(.*?)</table>', html, re.S)[1]
    lines = re.split(r"<tr[ >]", table)
    left = [re.findall(r'<td class="n">([\d,]*)</td>', line)[-1:] for line in lines]
    assert left[2:5] == [["2"], ["2"], ["1"]]


def test_a_gallery_has_an_end():
    gallery = Gallery()
    for number in range(2100):
        gallery.add({"index": number, "class": "refusal"})
    assert (len(gallery.rows), gallery.left_out) == (2000, 100)


def annotated(tmp_path, *entries):
    path = tmp_path / "annotations.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_person_overrules_the_filter(tmp_path, jobs):
    rows = [row(), row(REFUSAL), row(id=2), row(REFUSAL, id=3)]
    wishes = annotated(
        tmp_path,
        {"row": row_hash(rows[1].encode()), "action": "keep", "note": "asked for"},
        {"row": row_hash(rows[2].encode() + b"\r\n"), "action": "drop"},
    )
    tally, html = audited(tmp_path, *rows, jobs=jobs, by_hand=annotations_from(wishes))
    assert (tmp_path / "out.jsonl").read_bytes() == lines(rows[0], rows[1])
    assert (tally.kept, tally.dropped, tally.by_hand) == (2, 2, 2)
    assert [entry["action"] for entry in island(html)["flagged"]] == ["keep", "drop", "drop"]


def test_the_page_names_rows_as_annotations_do(tmp_path):
    _, html = audited(tmp_path, row(REFUSAL))
    assert island(html)["flagged"][0]["row"] == row_hash(row(REFUSAL).encode())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON"),
        ("[]", "want an object"),
        ('{"row": "0123456789abcdef"}', "want an object"),
        ('{"row": "0123456789abcdef", "action": "keep", "why": "x"}', "want an object"),
        ('{"row": "xyz", "action": "keep"}', "want the 16 digits"),
        ('{"row": "0123456789abcdef", "action": "strip"}', "keep, drop"),
    ],
)
def test_what_is_no_annotation_is_refused_with_its_line(tmp_path, line, told):
    path = tmp_path / "annotations.jsonl"
    path.write_text("\n" + line + "\n")
    with pytest.raises(InvalidInput, match=f"line 2.*{told}"):
        annotations_from(path)
