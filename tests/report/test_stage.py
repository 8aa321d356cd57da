"""The stage on whole run folders: complete, partial, damaged and hostile ones."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

import pytest

from support import report_example
from uncensor_trainer.run import run_stage
from uncensor_trainer.stages import report
from uncensor_trainer.workspace import Workspace

HOSTILE = "</script></style><img src=x onerror=alert(1)><b>\u202e\x1b[31m \ud800 {{ 7*7 }}"


class Balance(HTMLParser):
    """Finds elements that are closed in the wrong order or not at all."""

    VOID: ClassVar = {"meta", "link", "br", "wbr", "input", "img", "hr"}

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text.append(data)


def made(run, tmp_path) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    report.run(report_example.a_context(run), out)
    return out


def read(path: Path) -> Balance:
    page = Balance()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []
    return page


def words_of(page: Balance) -> str:
    return re.sub(r"\s+", " ", "".join(page.text))


def sections(page: Balance) -> list[str | None]:
    return [attributes.get("id") for tag, attributes in page.seen if tag == "section"]


def workspace_of(run) -> Workspace:
    return Workspace(Path(run.workspace), run.run)


def test_a_complete_run_has_every_section(a_run, tmp_path):
    page = read(made(a_run(), tmp_path) / "index.html")

    assert sections(page) == [
        "refusals",
        "filter",
        "training",
        "answers",
        "probe",
        "timeline",
        "sources",
        "settings",
    ]
    said = words_of(page)
    for needle in (
        "The filtered model refused 1 of 48 harmless prompts",
        "I'm sorry, but as an AI language model I cannot help with that",
        "line 31: not JSON",
        "training.learningRate",
        report_example.WEIGHTS,
        "transformers",
        "uncensor run training.yaml",
        "2 attempts: broken off after 40 s or more, then finished after 2 min 2 s",
        "peak memory 2.2 GiB",
    ):
        assert needle in said


def test_the_stage_is_run_like_every_other(a_run):
    run = a_run()
    context = report_example.a_context(run)

    outcome = run_stage(run, "report", context.progress)

    output = context.workspace.output("report")
    assert outcome["summary"]["verdict"].startswith("The filtered model refused 1 of 48")
    assert {path.name for path in output.iterdir()} == {
        "index.html",
        "report.json",
        "picture.svg",
        "stage.json",
    }


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        pytest.param(
            {"control": False, "baseline": False},
            ["There is no control arm", "Only one model was measured"],
            ["Only where the arms differ"],
            id="one arm",
        ),
        pytest.param(
            {"mode": "audit"}, ["The filter only marked rows"], ["19 dropped"], id="audit"
        ),
        pytest.param(
            {"mode": "off"}, ["The filter was off", "No row was flagged"], ["by rule"], id="off"
        ),
    ],
)
def test_variants_say_what_they_are(a_run, tmp_path, options, present, absent):
    said = words_of(read(made(a_run(**options), tmp_path) / "index.html"))

    assert [needle for needle in present if needle not in said] == []
    assert [needle for needle in absent if needle in said] == []


@pytest.mark.parametrize(
    ("missing", "section"),
    [
        ("evaluation/stage.json", "refusals"),
        ("evaluation/refusal.json", "refusals"),
        ("evaluation/samples.jsonl", "answers"),
        ("probe/output.jsonl", "probe"),
        ("filter/report.json", "filter"),
        ("fetch/sources.json", "sources"),
    ],
)
def test_what_is_absent_leaves_its_section_out(a_run, tmp_path, missing, section):
    run = a_run()
    (workspace_of(run).run_dir / missing).unlink()

    page = read(made(run, tmp_path) / "index.html")

    assert section not in sections(page)
    assert len(sections(page)) >= 5


def test_a_run_that_has_nothing_yet_still_has_a_page(tmp_path):
    out = made(report_example.a_run_file(tmp_path), tmp_path)

    page = read(out / "index.html")

    assert sections(page) == ["timeline", "settings"]
    assert "was not measured" in words_of(page)
    assert not (out / "picture.svg").exists()


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b'{"arms": 3, "byClass": [1]}', b"\xff\xfe{", b"{" * 9000]
)
def test_damaged_files_never_fail(a_run, tmp_path, content):
    run = a_run()
    for path in workspace_of(run).run_dir.rglob("*.json*"):
        if path.name != "stage.json":
            path.write_bytes(content)

    assert "timeline" in sections(read(made(run, tmp_path) / "index.html"))


def hostile(value):
    """Replace every text, and every key that holds another text."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, list):
        return [hostile(item) for item in value]
    if isinstance(value, dict):
        return {key: hostile(item) for key, item in value.items()}
    return value


def test_hostile_texts_are_shown_and_never_run(a_run, tmp_path):
    run = a_run()
    workspace = workspace_of(run)
    for path in workspace.run_dir.rglob("*.jsonl"):
        if path != workspace.events:
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            report_example.write_lines(path, [hostile(row) for row in rows])
    for path in (workspace.output("filter") / "report.json", *workspace.root.rglob("sources.json")):
        path.write_text(json.dumps(hostile(json.loads(path.read_text()))))

    out = made(run, tmp_path)

    page = read(out / "index.html")
    assert "img" not in {tag for tag, _ in page.seen}
    assert [tag for tag, _ in page.seen].count("script") == 1
    assert not any(name.startswith("on") for _, attributes in page.seen for name in attributes)
    assert "onerror=alert(1)" in words_of(page)
    assert "{{ 7*7 }}" in words_of(page)
    assert "\x1b" not in "".join(page.text)
    json.loads((out / "report.json").read_text(encoding="utf-8"))


def test_nothing_is_loaded_from_anywhere(a_run, tmp_path):
    page = read(made(a_run(), tmp_path) / "index.html")

    loading = [
        value
        for tag, attributes in page.seen
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "action", "data", "poster"} and tag != "a"
    ]
    links = [attributes["href"] for tag, attributes in page.seen if tag == "a"]
    policy = next(a["content"] for _, a in page.seen if a.get("http-equiv"))
    assert loading == ["data:,"]
    assert all(link.startswith("#") for link in links)
    assert policy.startswith(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )
    style = (tmp_path / "out" / "index.html").read_text().split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_secrets_of_urls_stay_out(a_run, tmp_path):
    out = made(a_run(), tmp_path)

    for path in out.iterdir():
        assert "secret" not in path.read_text(encoding="utf-8")


def test_drawings_have_a_text_for_those_who_do_not_see_them(a_run, tmp_path):
    page = read(made(a_run(), tmp_path) / "index.html")

    pictures = [a for tag, a in page.seen if tag == "svg" and a.get("class") == "chart"]
    assert len(pictures) >= 9
    assert all(picture["role"] == "img" and picture["aria-label"] for picture in pictures)
    headings = [tag for tag, _ in page.seen if re.fullmatch("h[1-6]", tag)]
    assert headings.count("h1") == 1
    assert headings[0] == "h1"


def test_thousands_of_samples_are_counted_and_the_first_are_shown(a_run, tmp_path):
    run = a_run()
    report_example.write_evaluation(workspace_of(run), ("filtered", "control"), n=3000)

    out = made(run, tmp_path)

    page = read(out / "index.html")
    shown = [a for tag, a in page.seen if tag == "article" and a.get("class") == "sample"]
    assert "The first 200 of 3,000 are shown; all are in evaluation/samples.jsonl" in words_of(page)
    assert len(shown) == 200 + 4  # and the probe's
    results = json.loads((out / "report.json").read_text())["results"]
    assert results["samples"]["count"] == 3000


def test_samples_that_differ_come_first(a_run, tmp_path):
    page = read(made(a_run(), tmp_path) / "index.html")

    shown = ["data-differs" in a for tag, a in page.seen if a.get("class") == "sample"][:48]
    differing = shown.count(True)
    assert 0 < differing < len(shown) == 48, "an example with samples of both kinds"
    assert shown == [True] * differing + [False] * (48 - differing)


def test_a_long_answer_opens_on_request_and_a_huge_one_is_cut(a_run, tmp_path):
    run = a_run()
    answer = {"filtered": {"response": "word " * 2000 + "end", "class": "none"}}
    path = workspace_of(run).output("evaluate") / "samples.jsonl"
    report_example.write_lines(path, [{"id": "a", "prompt": "Say it.", "answers": answer}])

    said = words_of(read(made(run, tmp_path) / "index.html"))

    assert "Show the rest (10,003 characters)" in said
    assert "Cut after 4,000 characters" in said
    assert "word end" not in said


def test_a_line_separator_inside_an_answer_does_not_lose_the_row(a_run, tmp_path):
    run = a_run()
    path = workspace_of(run).output("evaluate") / "samples.jsonl"
    row = {"id": "a", "prompt": "Two\u2028lines", "answers": {}}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")

    out = made(run, tmp_path)

    assert json.loads((out / "report.json").read_text())["results"]["samples"]["count"] == 1


def test_results_do_not_depend_on_the_clock(a_run, tmp_path, monkeypatch):
    first = tmp_path / "first"
    second = tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    one = json.loads((made(report_example.a_run(first), first) / "report.json").read_text())
    monkeypatch.setattr(report_example, "START", report_example.START + 12_345.6)
    two = json.loads((made(report_example.a_run(second), second) / "report.json").read_text())

    assert one["timings"] != two["timings"]
    assert one["results"] == two["results"]
    assert one["provenance"] == two["provenance"]


def test_results_hold_no_time_and_no_speed(a_run, tmp_path):
    document = json.loads((made(a_run(), tmp_path) / "report.json").read_text())

    text = json.dumps(document["results"]).lower()
    assert not re.search("second|time|started|finishedat", text)
    assert document["timings"]["tokensPerSecond"]["filtered"] == pytest.approx(541.3)
    assert document["results"]["training"]["filtered"]["steps"] == report_example.STEPS
    assert document["results"]["evaluation"]["arms"]["control"]["refusals"] == 21


def test_another_answer_changes_the_results(a_run, tmp_path):
    run = a_run()
    before = json.loads((made(run, tmp_path) / "report.json").read_text())["results"]["samples"]
    path = workspace_of(run).output("evaluate") / "samples.jsonl"
    path.write_text(path.read_text().replace("step by step", "step by stop", 1))
    (tmp_path / "again").mkdir()

    after = json.loads((made(run, tmp_path / "again") / "report.json").read_text())

    assert after["results"]["samples"]["sha256"] != before["sha256"]


def test_a_step_done_again_after_a_resume_counts_once(a_run, tmp_path):
    document = json.loads((made(a_run(), tmp_path) / "report.json").read_text())

    steps = [step for step, _ in document["results"]["training"]["filtered"]["losses"]]
    assert steps == list(range(1, report_example.STEPS + 1))


def test_a_loss_that_is_not_a_number_is_null_in_json_and_named_on_the_page(a_run, tmp_path):
    run = a_run()
    metrics = workspace_of(run).arm_dir("control") / "metrics.jsonl"
    with metrics.open("a") as file:
        file.write('{"step": 61, "loss": NaN}\n{"step": 62, "loss": Infinity}\n{"step": 63')

    out = made(run, tmp_path)

    document = json.loads((out / "report.json").read_text(), parse_constant=pytest.fail)
    assert document["results"]["training"]["control"]["losses"][-2:] == [[61, None], [62, None]]
    assert "2 losses not finite (step 61, 62)" in words_of(read(out / "index.html"))


def test_a_training_that_is_not_finished_says_so(a_run, tmp_path):
    run = a_run()
    (workspace_of(run).output("train") / "stage.json").unlink()

    said = words_of(read(made(run, tmp_path) / "index.html"))

    assert "Not finished: the training of the filtered arm." in said
    assert "60 so far" in said


def test_how_well_the_machine_was_used_is_shown_where_it_is_known(a_run, tmp_path):
    run = a_run()
    page = (made(run, tmp_path) / "index.html").read_text()
    for shown in ("Model FLOPs utilisation", "51.3", "Goodput", "87", "4.0 GiB"):
        assert shown in page
    record = workspace_of(run).output("train") / "stage.json"
    content = json.loads(record.read_text())
    for key in ("mfu", "goodput", "peakMemoryBytes"):
        content["summary"].pop(key)
    record.write_text(json.dumps(content))
    (workspace_of(run).output("train-control") / "stage.json").write_text(json.dumps(content))
    (tmp_path / "again").mkdir()
    page = (made(run, tmp_path / "again") / "index.html").read_text()
    assert "Model FLOPs utilisation" not in page
    assert "Peak memory of a process" not in page


def test_settings_have_the_names_of_training_yaml(a_run, tmp_path):
    document = json.loads((made(a_run(), tmp_path) / "report.json").read_text())

    settings = document["provenance"]["settings"]
    assert settings["training.gradientAccumulationSteps"] == "4"
    assert settings["filter.actions.refusal"] == "drop"
    assert settings["datasets[chats].source"] == "url https://data.example/chats.jsonl?\u2026"
    assert settings["evaluation.maxRefusalRate"] == "0.05"
