import pytest

from uncensor_trainer.refusals import matching
from uncensor_trainer.refusals.compiled import database

hyperscan = pytest.importorskip("hyperscan")
PATTERNS = [b"rice", b"tea|coffee"]


def found(patterns, data=b"rice and tea"):
    hits = []
    database(hyperscan, patterns, 0).scan(data, match_event_handler=lambda n, *_: hits.append(n))
    return hits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "uncensor" / "patterns"


def test_the_second_time_the_patterns_come_from_disk(folder):
    assert found(PATTERNS) == [0, 1]
    (kept,) = folder.iterdir()
    first = kept.stat()
    assert found(PATTERNS) == [0, 1]
    assert kept.stat().st_mtime_ns == first.st_mtime_ns


def test_other_patterns_are_other_files(folder):
    found(PATTERNS)
    assert found([b"tea"]) == [0]
    assert len(list(folder.iterdir())) == 2


def test_a_damaged_file_is_compiled_anew(folder):
    found(PATTERNS)
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    assert found(PATTERNS) == [0, 1]
    assert kept.read_bytes() == whole


def test_without_a_place_to_write_it_still_matches(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert found(PATTERNS) == [0, 1]


def test_matchers_give_the_same_from_disk(folder):
    fresh = matching.by_hyperscan.__wrapped__(("rice", "tea"))
    again = matching.by_hyperscan.__wrapped__(("rice", "tea"))
    assert fresh("tea, rice") == again("tea, rice") == (0, 1)
