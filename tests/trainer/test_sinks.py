"""Metrics that go elsewhere: real TensorBoard files, and places that fail or are not there."""

import io
import json
import threading

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from support.tiny import prepared_workspace, run_file, some_rows, tiny_model
from support.training import arm_dir, metrics, train
from uncensor_trainer import sinks
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Progress
from uncensor_trainer.runfile import MlFlow, Reporting, TensorBoard, Wandb
from uncensor_trainer.sinks import Sinks, Told

BOARD = Reporting(tensorboard=TensorBoard(flush_seconds=1))


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def told(tmp_path):
    return Told("tiny", "filtered", "d", tmp_path, {"epochs": 1.0})


class Place:
    """A place that keeps what it gets, or fails when a test says so."""

    def __init__(self, settings, told, step):
        self.steps, self.closed = [], False
        Place.made = self

    def write(self, step, time, values):
        self.steps.append(step)

    def close(self):
        self.closed = True


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setitem(sinks.OPENERS, "tensorboard", Place)
    return Place


def row(step, **values):
    return {"step": step, "time": 1000.0 + step, "loss": 2.0, **values}


def notes(stream):
    return [json.loads(line)["message"] for line in stream.getvalue().splitlines()]


def board(folder):
    """Return (step, value) of every scalar in the event files of the only run."""
    (run,) = (folder / "tensorboard").iterdir()
    events = EventAccumulator(str(run)).Reload()
    names = events.Tags()["scalars"]
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in names}


def test_a_training_leaves_its_metrics_for_tensorboard_also_after_a_stop(tmp_path):
    run = run_file(
        tmp_path,
        tiny_model(tmp_path / "base"),
        reporting={"tensorboard": {"flush_seconds": 1}},
        training={"epochs": 2.0},
    )
    prepared_workspace(run, some_rows(16))
    with pytest.raises(Exception, match="Stopped by SIGTERM"):
        train(run, stop_at=3)
    train(run)
    shown = board(arm_dir(run))
    wanted = [(one["step"], pytest.approx(one["loss"])) for one in metrics(run)]
    assert shown["train/loss"] == wanted
    assert {"train/learning_rate", "train/grad_norm", "train/tokens_per_second"} <= set(shown)
    assert "train/mfu" not in shown, "nobody knows it on a CPU"


def test_steps_that_are_done_again_replace_those_of_before(told, stream):
    for first, loss in ((0, 3.0), (1, 5.0)):
        one = Sinks(BOARD, told, Progress("train", stream=stream))
        one.begin(first)
        for step in range(first + 1, 4):
            one.take(row(step, loss=loss))
        one.close(30)
    assert board(told.folder)["train/loss"] == [(1, 3.0), (2, 5.0), (3, 5.0)]


def test_other_settings_begin_a_run_of_their_own(told, tmp_path):
    other = Told("tiny", "filtered", "e", tmp_path, {})
    assert told.identity() == told.identity()
    assert told.identity() != other.identity()


def test_a_package_that_is_not_there_is_named_before_anything_begins(told, stream):
    with pytest.raises(InvalidInput, match=r"reporting.wandb needs .*pip install .*\[wandb\]"):
        Sinks(Reporting(wandb=Wandb(project="p")), told, Progress("train", stream=stream))


def test_a_place_that_fails_is_told_once_and_training_goes_on(told, stream, place, monkeypatch):
    monkeypatch.setattr(place, "write", lambda *_: 1 / 0)
    one = Sinks(BOARD, told, Progress("train", stream=stream))
    one.begin(0)
    for step in (1, 2, 3):
        one.take(row(step))
    one.close(30)
    (note,) = notes(stream)
    assert "do not all reach tensorboard: ZeroDivisionError" in note
    assert place.made.closed


def test_a_place_that_cannot_be_opened_is_told(told, stream, monkeypatch):
    monkeypatch.setitem(sinks.OPENERS, "tensorboard", lambda *_: 1 / 0)
    one = Sinks(BOARD, told, Progress("train", stream=stream))
    one.begin(0)
    one.take(row(1))
    one.close(30)
    assert len(notes(stream)) == 1


def test_no_secret_is_told(told, stream, monkeypatch, tmp_path):
    (tmp_path / "mlflow").write_text("a-very-secret-word\n")
    monkeypatch.setenv("UNCENSOR_TOKEN_FOLDER", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "")

    def refuse(*_):
        raise PermissionError("no entry with a-very-secret-word")

    monkeypatch.setitem(sinks.OPENERS, "mlflow", refuse)
    monkeypatch.setattr(sinks, "_refuse_missing", lambda name: None)
    one = Sinks(Reporting(mlflow=MlFlow(experiment="e")), told, Progress("train", stream=stream))
    one.begin(0)
    one.close(30)
    assert "no entry with ***" in stream.getvalue()
    assert "very-secret" not in stream.getvalue()


def test_a_place_that_takes_no_rows_holds_nothing_up(told, stream, place, monkeypatch):
    goes_on = threading.Event()
    monkeypatch.setattr(place, "write", lambda *_: goes_on.wait(30))
    monkeypatch.setattr(sinks, "ROWS_WAITING", 2)
    one = Sinks(BOARD, told, Progress("train", stream=stream))
    one.begin(0)
    for step in range(1, 9):
        one.take(row(step))
    one.close(0.05)
    goes_on.set()
    assert notes(stream) == [
        "Metrics do not all reach reporting: nothing takes the rows any more. Training goes on; "
        "metrics.jsonl has them."
    ]


def test_what_a_library_prints_never_comes_between_lines_of_json(told, capsys, place, monkeypatch):
    monkeypatch.setattr(place, "write", lambda *_: print("hello"))  # noqa: T201
    one = Sinks(BOARD, told, Progress("train"))
    one.begin(0)
    one.take(row(1))
    one.close(30)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "hello\n")


def test_nothing_is_opened_when_nothing_is_asked_for(told, stream):
    one = Sinks(Reporting(), told, Progress("train", stream=stream))
    one.begin(0)
    one.take(row(1))
    one.close(30)
    assert list(told.folder.iterdir()) == []
