"""The runner with the real stages that need no torch: fetch and filter."""

import json
import os
import signal
import threading
import time

import psutil
import pytest

from support.runs import make_run
from support.tiny import tiny_model
from uncensor_operator.local.observe import observe
from uncensor_operator.local.runner import Listener, execute
from uncensor_operator.plan.decide import decide
from uncensor_operator.plan.pipeline import with_stages
from uncensor_trainer.workspace import Workspace, read_lines

ROWS = [
    {"instruction": "Name a colour.", "input": "", "output": "Blue is a colour."},
    {
        "instruction": "Name a tree.",
        "input": "",
        "output": "I'm sorry, but as an AI language model, I cannot help with that.",
    },
    {"instruction": "Name a bird.", "input": "", "output": "The robin is a small bird."},
]


class Recorder(Listener):
    def __init__(self):
        self.calls = []

    def stage_started(self, stage):
        self.calls.append(("started", stage))

    def stage_ended(self, stage, end, seconds):
        self.calls.append(("ended", stage, end.code))
        self.last = end

    def stage_skipped(self, stage, why):
        self.calls.append(("skipped", stage))


@pytest.fixture
def workspace(tmp_path):
    tiny_model(tmp_path / "base")
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    return tmp_path


def go(workspace, stages=("fetch", "filter"), listener=None, **options):
    draft = make_run(workspace)
    run = with_stages(draft, observe(draft).fingerprints)
    decisions = decide(run, observe(draft).done, only=stages, **options)
    recorder = listener or Recorder()
    return execute(run, decisions, recorder), recorder


def test_stages_run_in_order_and_tell_their_numbers(workspace):
    outcome, recorder = go(workspace)
    assert outcome.code == 0
    assert recorder.calls == [
        ("started", "fetch"),
        ("ended", "fetch", 0),
        ("started", "filter"),
        ("ended", "filter", 0),
    ]
    assert (recorder.last.summary["rows"], recorder.last.summary["kept"]) == (3, 2)
    assert recorder.last.peak_memory_bytes > 2**20


def test_the_second_time_nothing_is_done(workspace):
    go(workspace)
    outcome, recorder = go(workspace)
    assert outcome.code == 0
    assert recorder.calls == [("skipped", "fetch"), ("skipped", "filter")]


def test_an_edited_data_set_is_filtered_again_and_the_old_output_kept(workspace):
    go(workspace)
    (workspace / "rows.json").write_text(json.dumps(ROWS[:1]))
    _, recorder = go(workspace)
    assert recorder.last.summary["rows"] == 1
    assert (workspace / "runs/trial/archive/filter.1/kept.jsonl").exists()


def test_from_does_a_complete_stage_again(workspace):
    go(workspace)
    _, recorder = go(workspace, from_stage="filter")
    assert recorder.calls == [("skipped", "fetch"), ("started", "filter"), ("ended", "filter", 0)]


def test_a_failing_stage_ends_the_run_with_its_sentence(workspace):
    (workspace / "rows.json").write_text('[{"instruction": "x"')
    outcome, recorder = go(workspace)
    assert (outcome.code, outcome.stage) == (64, "filter")
    assert "rows.json" in outcome.message
    assert "Traceback" not in outcome.message
    assert recorder.calls[-1] == ("ended", "filter", 64)


def test_the_workspace_tells_the_story(workspace):
    go(workspace)
    events = read_lines(Workspace(workspace, "trial").events)
    assert [(event["event"], event["stage"]) for event in events] == [
        ("stage-started", "fetch"),
        ("stage-finished", "fetch"),
        ("stage-started", "filter"),
        ("stage-finished", "filter"),
    ]


def test_a_signal_before_the_next_stage_stops_there(workspace):
    class Stopper(Recorder):
        def stage_ended(self, stage, end, seconds):
            super().stage_ended(stage, end, seconds)
            os.kill(os.getpid(), signal.SIGTERM)

    outcome, recorder = go(workspace, listener=Stopper())
    assert outcome.stopped
    assert outcome.stage == "filter"
    assert ("started", "filter") not in recorder.calls


def test_a_killed_stage_is_explained(workspace):
    go(workspace, stages=["fetch"])

    def kill_the_stage():
        while not (children := psutil.Process().children()):
            time.sleep(0.005)
        children[0].kill()

    killer = threading.Thread(target=kill_the_stage)
    killer.start()
    outcome, recorder = go(workspace, stages=["filter"])
    killer.join()
    assert recorder.calls[-1] == ("ended", "filter", -signal.SIGKILL)
    assert outcome.code == 70
    assert "memory" in outcome.message
