import threading
from pathlib import Path

import pytest

from uncensor_trainer.exits import InvalidInput, SourceUnavailable
from uncensor_trainer.progress import Progress
from uncensor_trainer.sources import cache
from uncensor_trainer.sources.cache import Origin, cached
from uncensor_trainer.sources.checks import data_files


class Counting:
    """Fills a folder with one data file, and counts how often."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error
        self.resumed = False

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        self.resumed = (folder / "half").exists()
        if self.error is not None:
            (folder / "half").touch()
            raise self.error
        (folder / "rows.json").write_text("[]")


def origin(fill: Counting, kind: str = "test") -> Origin:
    return Origin({"kind": kind}, {"kind": kind}, "1", fill)


def test_the_same_content_is_brought_once(tmp_path: Path, silent: Progress) -> None:
    fill = Counting()
    first = cached(tmp_path, origin(fill), data_files, silent)
    again = cached(tmp_path, origin(fill), data_files, silent)
    assert (fill.calls, again) == (1, first)


def test_other_content_lies_in_another_folder(tmp_path: Path, silent: Progress) -> None:
    one = cached(tmp_path, origin(Counting(), "a"), data_files, silent)
    two = cached(tmp_path, origin(Counting(), "b"), data_files, silent)
    assert one.folder != two.folder


def test_what_came_before_a_failure_is_there_for_the_next_attempt(
    tmp_path: Path, silent: Progress
) -> None:
    with pytest.raises(SourceUnavailable):
        cached(tmp_path, origin(Counting(SourceUnavailable("down"))), data_files, silent)
    assert list(tmp_path.glob("[!.]*")) == []
    fill = Counting()
    cached(tmp_path, origin(fill), data_files, silent)
    assert fill.resumed


def test_nothing_is_kept_of_refused_content(tmp_path: Path, silent: Progress) -> None:
    with pytest.raises(InvalidInput):
        cached(tmp_path, origin(Counting(InvalidInput("no"))), data_files, silent)
    fill = Counting()
    cached(tmp_path, origin(fill), data_files, silent)
    assert not fill.resumed


def test_a_run_waits_for_another_that_brings_the_same(tmp_path: Path, silent: Progress) -> None:
    started, go_on = threading.Event(), threading.Event()

    class Slow(Counting):
        def __call__(self, folder: Path) -> None:
            started.set()
            assert go_on.wait(30)
            super().__call__(folder)

    slow, second = Slow(), Counting()
    first = threading.Thread(
        target=cached, args=(tmp_path, origin(slow), data_files, silent), daemon=True
    )
    first.start()
    assert started.wait(30)
    other = threading.Thread(
        target=cached, args=(tmp_path, origin(second), data_files, silent), daemon=True
    )
    other.start()
    go_on.set()
    first.join(30)
    other.join(30)
    assert (slow.calls, second.calls) == (1, 0)


def test_without_locks_the_first_rename_wins(
    tmp_path: Path, silent: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError("no locks on this file system")

    monkeypatch.setattr(cache.fcntl, "flock", no_locks)

    class Overtaken(Counting):
        """While it fills, another run finishes the same content."""

        def __call__(self, folder: Path) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(cache.os, "getpid", lambda: 1)
                cached(tmp_path, origin(Counting()), data_files, silent)
            super().__call__(folder)

    found = cached(tmp_path, origin(Overtaken()), data_files, silent)
    assert (found.folder / "rows.json").read_text() == "[]"
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [found.folder.name]
