"""Saves in the background, with a disk that waits, breaks or fills when a test says so."""

import io
import json
import threading
from types import SimpleNamespace

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from uncensor_trainer import saving
from uncensor_trainer.checkpoints import Checkpoints, fault_of
from uncensor_trainer.exits import WorkspaceFailure
from uncensor_trainer.progress import Progress
from uncensor_trainer.saving import Saver
from uncensor_trainer.state_files import Piece, StateReader
from uncensor_trainer.training_state import TrainingState


class Numbers:
    """A state of eight numbers that training changes in place."""

    def __init__(self):
        self.values = torch.zeros(8)
        self.wait = lambda: None

    def pieces(self):
        return [Piece("weight", "layer", 0, self.values)]

    def before_change(self, wait):
        self.wait = wait

    def change(self):
        self.wait()
        self.values += 1


@pytest.fixture
def numbers():
    return Numbers()


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def checkpoints(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return Checkpoints(folder, digest="d", keep_latest=2)


@pytest.fixture
def saver(numbers, checkpoints, stream):
    return Saver(numbers, checkpoints, Progress("train", stream=stream), asynchronous=True)


@pytest.fixture
def slow_disk(monkeypatch):
    """Return an event; nothing reaches the disk before it is set."""
    goes_on = threading.Event()
    write = saving.write_pieces

    def waiting(*arguments):
        assert goes_on.wait(30)
        return write(*arguments)

    monkeypatch.setattr(saving, "write_pieces", waiting)
    yield goes_on
    goes_on.set()


def rest(folder):
    (folder / "counters.json").write_text("{}")


def saved(checkpoint):
    values = torch.ones(8) * -1
    with StateReader(checkpoint.folder) as reader:
        reader.fill(Piece("weight", "layer", 0, values))
    return values.tolist()


def names(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_training_goes_on_while_its_state_is_written(saver, numbers, checkpoints, slow_disk):
    saver.save(5, {}, rest)
    numbers.change()
    assert checkpoints.newest_verified() == (None, [])
    slow_disk.set()
    saver.wait()
    found, _ = checkpoints.newest_verified()
    assert (found.step, saved(found)) == (5, [0.0] * 8)


def test_a_second_save_waits_for_the_first(saver, numbers, checkpoints, slow_disk):
    saver.save(5, {}, rest)
    threading.Timer(0.05, slow_disk.set).start()
    numbers.change()
    saver.save(6, {}, rest)
    assert "step-5" in names(checkpoints)
    saver.wait()
    assert saved(checkpoints.newest_verified()[0]) == [1.0] * 8


def test_numbers_change_only_when_they_are_copied(saver, numbers, checkpoints, monkeypatch):
    copy, goes_on = saving.Snapshot.finish, threading.Event()

    def slow(snapshot):
        assert goes_on.wait(30)
        copy(snapshot)

    monkeypatch.setattr(saving.Snapshot, "finish", slow)
    saver.save(5, {}, rest)  # returns before anything is copied
    optimizer = threading.Thread(target=numbers.change)
    optimizer.start()
    optimizer.join(0.05)
    assert optimizer.is_alive()
    assert numbers.values.tolist() == [0.0] * 8
    goes_on.set()
    optimizer.join()
    saver.wait()
    assert saved(checkpoints.newest_verified()[0]) == [0.0] * 8
    assert numbers.values.tolist() == [1.0] * 8


def test_a_copy_that_fails_stops_no_optimizer_and_is_told(saver, numbers, monkeypatch):
    monkeypatch.setattr("numpy.copyto", lambda *_: 1 / 0)
    saver.save(5, {}, rest)
    numbers.change()
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        saver.wait()


def test_every_step_of_an_optimizer_waits_for_the_copy():
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters())
    waits = []
    TrainingState(layer, SimpleNamespace(optimizer=optimizer), None).before_change(
        lambda *_: waits.append(layer.weight.detach().clone())
    )
    before = layer.weight.detach().clone()
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert [torch.equal(seen, before) for seen in waits] == [True]
    assert not torch.equal(layer.weight, before)


@pytest.mark.parametrize("asynchronous", [True, False])
def test_both_ways_leave_the_same_files(tmp_path, numbers, asynchronous):
    checkpoints = Checkpoints(tmp_path / "c", digest="d", keep_latest=2)
    checkpoints.folder.mkdir()
    progress = Progress("train", stream=io.StringIO())
    saver = Saver(numbers, checkpoints, progress, asynchronous=asynchronous)
    saver.save(5, {"seed": 1}, rest)
    saver.wait()
    (folder,) = checkpoints.folder.iterdir()
    assert fault_of(folder) is None
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [file["path"] for file in manifest["files"]] == [
        "counters.json",
        "state-00001-of-00001.safetensors",
    ]
    assert (manifest["seed"], manifest["step"]) == (1, 5)


def test_a_failure_in_the_background_surfaces_and_commits_nothing(
    saver, numbers, checkpoints, monkeypatch
):
    saver.save(5, {}, rest)
    saver.wait()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "write_pieces", full)
    saver.save(6, {}, rest)
    with pytest.raises(WorkspaceFailure, match="No space left"):
        saver.wait()
    saver.wait()  # told once
    assert checkpoints.newest_verified()[0].step == 5


def test_a_failure_is_seen_at_the_next_boundary_without_waiting(saver, monkeypatch):
    monkeypatch.setattr(saving, "write_pieces", lambda *_: 1 / 0)
    saver.save(5, {}, rest)
    for thread in threading.enumerate():
        if thread.name == "save-5":
            thread.join()
    assert saver.failed
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        saver.save(6, {}, rest)


def test_a_file_that_shrinks_behind_our_back_is_not_committed(saver, checkpoints, monkeypatch):
    write = saving.write_pieces

    def lossy(path, *rest):
        receipt = write(path, *rest)
        path.write_bytes(path.read_bytes()[:-1])
        return receipt

    monkeypatch.setattr(saving, "write_pieces", lossy)
    saver.save(5, {}, rest)
    with pytest.raises(WorkspaceFailure, match="loses data"):
        saver.wait()
    assert checkpoints.newest_verified() == (None, [])


def test_without_memory_for_a_copy_saves_are_waited_for(numbers, checkpoints, stream, monkeypatch):
    monkeypatch.setattr(saving, "free_memory", lambda: 39)  # a quarter over the eight numbers: 40
    saver = Saver(numbers, checkpoints, Progress("train", stream=stream), asynchronous=True)
    saver.save(5, {}, rest)
    assert names(checkpoints) == ["step-5"]
    assert "Too little memory" in stream.getvalue()


def test_a_save_that_does_not_fit_is_refused_before_it_is_begun(saver, checkpoints, monkeypatch):
    saver.save(5, {}, rest)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(WorkspaceFailure, match=r"does not fit.* are free at"):
        saver.save(6, {}, rest)
    assert names(checkpoints) == ["step-5"]


def test_every_commit_is_told(saver, stream):
    saver.save(5, {}, rest)
    saver.wait()
    (line,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (line["event"], line["step"]) == ("checkpoint", 5)
    assert 0 <= line["stall_seconds"] <= line["seconds"]
    assert line["bytes"] > 32


def test_after_training_the_copy_takes_no_memory(saver, checkpoints, monkeypatch):
    copies, write = [], saving.write_pieces

    def watched(path, pieces, *more):
        copies.extend(StorageWeakRef(one.values.untyped_storage()) for one in pieces)
        return write(path, pieces, *more)

    monkeypatch.setattr(saving, "write_pieces", watched)
    saver.save(5, {}, rest)
    saver.wait()
    assert [copy.expired() for copy in copies] == [False]  # kept for the next save
    saver.close()
    assert [copy.expired() for copy in copies] == [True]
    assert checkpoints.newest_verified()[0].step == 5
