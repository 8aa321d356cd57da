import threading
from pathlib import Path

import pytest

from uncensor_trainer.exits import InvalidInput, SourceUnavailable
from uncensor_trainer.progress import Progress
from uncensor_trainer.sources import cache
from uncensor_trainer.sources.cache import Origin, RequestRefused, cached
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


def test_what_came_stays_when_the_user_can_change_the_request(
    tmp_path: Path, silent: Progress
) -> None:
    with pytest.raises(RequestRefused):
        cached(tmp_path, origin(Counting(RequestRefused("token?"))), data_files, silent)
    fill = Counting()
    cached(tmp_path, origin(fill), data_files, silent)
    assert fill.resumed


class KilledError(BaseException):
    """Ends everything where it stands, as SIGKILL does."""


@pytest.mark.parametrize(
    "step", ["file_record", "write_json", "_let_others_read", "sync_tree", "_put_in_place"]
)
def test_a_kill_at_any_step_leaves_nothing_half_visible(
    tmp_path: Path, silent: Progress, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def dies(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(cache, step, dies)
        with pytest.raises(KilledError):
            cached(tmp_path, origin(Counting()), data_files, silent)
    assert list(tmp_path.glob("[!.]*")) == []
    found = cached(tmp_path, origin(Counting()), data_files, silent)
    assert [path.name for path in found.folder.iterdir() if path.suffix == ".json"] != []


def test_a_kill_after_the_rename_leaves_complete_content(
    tmp_path: Path, silent: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(cache, "sync_folder", dies)
        with pytest.raises(KilledError):
            cached(tmp_path, origin(Counting()), data_files, silent)
    fill = Counting()
    cached(tmp_path, origin(fill), data_files, silent)
    assert fill.calls == 0


@pytest.mark.parametrize(
    "record",
    [
        pytest.param("", id="torn"),
        pytest.param("[]", id="a list"),
        pytest.param('{"files": []}', id="no files"),
        pytest.param('{"files": ["rows.json"]}', id="names only"),
        pytest.param('{"files": [{"name": "rows.json", "bytes": 2}]}', id="other fields"),
        pytest.param('{"files": 3}', id="no list"),
    ],
)
def test_content_with_a_record_that_cannot_be_read_is_fetched_again(
    tmp_path: Path, silent: Progress, record: str
) -> None:
    folder = cached(tmp_path, origin(Counting()), data_files, silent).folder
    (folder / "source.json").write_text(record)
    fill = Counting()
    cached(tmp_path, origin(fill), data_files, silent)
    assert fill.calls == 1


def test_a_file_with_the_name_of_the_record_is_refused(tmp_path: Path, silent: Progress) -> None:
    class Clashing(Counting):
        def __call__(self, folder: Path) -> None:
            (folder / "source.json").write_text("[]")

    with pytest.raises(InvalidInput, match="Rename it"):
        cached(tmp_path, origin(Clashing()), data_files, silent)


def test_other_users_of_a_shared_workspace_can_read_what_came(
    tmp_path: Path, silent: Progress
) -> None:
    class Private(Counting):
        def __call__(self, folder: Path) -> None:
            folder.chmod(0o755)
            super().__call__(folder)
            (folder / "rows.json").chmod(0o600)

    found = cached(tmp_path, origin(Private()), data_files, silent)
    assert (found.folder / "rows.json").stat().st_mode & 0o777 == 0o644
