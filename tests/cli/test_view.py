import io
import json

import pytest
from rich.console import Console

from uncensor_operator.cli.view import JsonView, LiveView, PlainView
from uncensor_operator.local.process import StageEnd
from uncensor_operator.plan.decide import Action, Decision

DECISIONS = (
    Decision("fetch", Action.SKIP, "complete"),
    Decision("train", Action.RUN, "not done yet"),
    Decision("report", Action.LEAVE, "not asked for"),
)
STEP = {
    "event": "progress",
    "step": 5,
    "total": 20,
    "loss": 1.25,
    "tokens_per_second": 312.4,
    "eta_seconds": 95,
}


def tell_the_story(view, code=0):
    with view:
        view.stage_skipped("fetch", "complete")
        view.stage_started("train")
        view.stage_event("train", STEP)
        view.stage_event("train", {"event": "note", "message": "[bold]careful[/bold]"})
        view.stage_ended("train", StageEnd(code, "why", {"finalLoss": 1.0, "steps": 20}), 61.0)


def shown(console):
    return console.file.getvalue()


def test_plain_lines_name_stage_progress_and_end():
    console = Console(file=io.StringIO(), width=100)
    tell_the_story(PlainView(console))
    lines = shown(console).splitlines()
    assert lines == [
        "fetch: skipped, complete",
        "train: started",
        "train: 5/20  loss 1.2500  312 tok/s  ETA 1 min 35 s",
        "train: [bold]careful[/bold]",
        "train: done in 1 min 1 s  loss 1.0000 after 20 steps",
    ]


def test_plain_progress_does_not_flood():
    console = Console(file=io.StringIO(), width=100)
    view = PlainView(console)
    for step in range(1000):
        view.stage_event("train", {**STEP, "step": step})
    assert len(shown(console).splitlines()) == 1


def test_json_lines_can_be_parsed_and_carry_the_code():
    stream = io.StringIO()
    tell_the_story(JsonView(stream), code=64)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "stage-skipped",
        "stage-started",
        "progress",
        "note",
        "stage-ended",
    ]
    assert (events[-1]["code"], events[-1]["message"]) == (64, "why")


@pytest.mark.parametrize(("code", "word"), [(0, "loss 1.0000"), (64, "x"), (75, "#")])
def test_the_live_table_shows_every_stage_at_its_end(code, word):
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    tell_the_story(LiveView(console, DECISIONS), code)
    text = shown(console)
    assert "train" in text
    assert word in text
    assert "report" not in text


def test_the_live_table_shows_progress_while_a_stage_works():
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    view = LiveView(console, DECISIONS)
    with view:
        view.stage_started("train")
        view.stage_event("train", STEP)
    assert "5/20  loss 1.2500  312 tok/s  ETA 1 min 35 s" in shown(console)
