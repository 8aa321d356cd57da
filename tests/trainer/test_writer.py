"""One attempt writes at a time: the newest claims, an older one ends without committing."""

import pytest

from uncensor_trainer.checkpoints import Checkpoints
from uncensor_trainer.exits import WorkspaceFailure
from uncensor_trainer.writer import FILE, Writer


def test_the_attempt_that_claimed_last_may_write(tmp_path):
    Writer(tmp_path).claim()
    newest = Writer(tmp_path)
    newest.claim()

    newest.check()


def test_an_older_attempt_is_told_that_another_one_writes(tmp_path):
    older = Writer(tmp_path)
    older.claim()
    Writer(tmp_path).claim()

    with pytest.raises(WorkspaceFailure, match="Another attempt"):
        older.check()


def test_a_folder_without_a_mark_belongs_to_whoever_asks(tmp_path):
    Writer(tmp_path).check()


def test_a_damaged_mark_keeps_nobody_out(tmp_path):
    (tmp_path / FILE).write_text("{")

    Writer(tmp_path).check()


def test_an_attempt_that_was_thought_dead_commits_nothing(tmp_path):
    cut_off = Writer(tmp_path)
    cut_off.claim()
    checkpoints = Checkpoints(tmp_path / "checkpoints", "digest", 2, cut_off.check)
    for step in (1, 2):
        checkpoints.begin(step)
        (checkpoints.partial(step) / "state").write_text(str(step))
    checkpoints.commit(1, {})
    Writer(tmp_path).claim()

    with pytest.raises(WorkspaceFailure):
        checkpoints.commit(2, {})

    newest, _ = checkpoints.newest_verified()
    assert newest is not None
    assert newest.step == 1
