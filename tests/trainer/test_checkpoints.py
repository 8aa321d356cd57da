import json

import pytest

from uncensor_trainer.checkpoints import COMMITTED, MANIFEST, Checkpoints, fault_of
from uncensor_trainer.workspace import Workspace


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "runs" / "r" / "checkpoints", digest="d1", keep_latest=2)


def commit(checkpoints, step, content=b"weights " * 100):
    checkpoints.begin(step)
    shards = checkpoints.partial(step) / "global_step"
    shards.mkdir()
    (shards / "optimizer.pt").write_bytes(content)
    (checkpoints.partial(step) / "state.json").write_text("{}")
    return checkpoints.commit(step, {"worldSize": 2})


def names(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_a_commit_can_be_found_and_verified_again(checkpoints):
    folder = commit(checkpoints, 7)
    found, notes = checkpoints.newest_verified()
    assert (found.folder, found.step, found.facts["worldSize"], notes) == (folder, 7, 2, [])
    listed = {file["path"] for file in json.loads((folder / MANIFEST).read_text())["files"]}
    assert listed == {"global_step/optimizer.pt", "state.json"}


def test_nothing_is_found_where_nothing_was_committed(checkpoints):
    assert checkpoints.newest_verified() == (None, [])


def test_only_the_newest_stay_after_a_commit(checkpoints):
    for step in (5, 10, 100):
        commit(checkpoints, step)
    assert names(checkpoints) == ["step-10", "step-100"]


def test_old_ones_stay_while_the_new_one_is_not_complete(checkpoints, monkeypatch):
    commit(checkpoints, 5)
    commit(checkpoints, 10)
    monkeypatch.setattr("uncensor_trainer.checkpoints._write_marker", lambda folder: None)
    commit(checkpoints, 15)
    assert names(checkpoints) == ["step-10", "step-15", "step-5"]


def flip_a_bit(folder):
    path = folder / "global_step" / "optimizer.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(folder):
    path = folder / "global_step" / "optimizer.pt"
    path.write_bytes(path.read_bytes()[:-1])


def zero_the_tail(folder):
    path = folder / "global_step" / "optimizer.pt"
    content = path.read_bytes()
    path.write_bytes(content[:-64] + bytes(64))


def lose_a_file(folder):
    (folder / "state.json").unlink()


def lose_the_marker(folder):
    (folder / COMMITTED).unlink()


def lose_the_manifest(folder):
    (folder / MANIFEST).unlink()


def change_the_manifest(folder):
    text = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(text.replace('"worldSize": 2', '"worldSize": 3'))


def garble_the_marker(folder):
    (folder / COMMITTED).write_bytes(b"\xff\x00")


DAMAGE = [
    flip_a_bit,
    truncate,
    zero_the_tail,
    lose_a_file,
    lose_the_marker,
    lose_the_manifest,
    change_the_manifest,
    garble_the_marker,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(checkpoints, damage):
    commit(checkpoints, 5)
    newest = commit(checkpoints, 10)
    damage(newest)
    assert fault_of(newest) is not None
    found, notes = checkpoints.newest_verified()
    assert found.step == 5
    assert "step-10 is not used" in notes[0]
    assert names(checkpoints) == ["quarantine", "step-5"]
    assert (checkpoints.folder / "quarantine" / "step-10.1").is_dir()


def test_a_step_can_be_committed_again_after_quarantine(checkpoints):
    for _ in range(2):
        lose_a_file(commit(checkpoints, 5))
        assert checkpoints.newest_verified()[0] is None
    assert len(list((checkpoints.folder / "quarantine").iterdir())) == 2


def test_what_a_killed_save_left_is_removed(checkpoints):
    commit(checkpoints, 5)
    checkpoints.begin(10)
    (checkpoints.partial(10) / "half.pt").write_bytes(b"half")
    checkpoints.clean()
    assert names(checkpoints) == ["step-5"]


def test_a_half_removed_checkpoint_is_never_taken_for_one(checkpoints, monkeypatch):
    for step in (5, 10):
        commit(checkpoints, step)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    checkpoints.partial(15).mkdir()
    with pytest.raises(KeyboardInterrupt):
        checkpoints.commit(15, {})
    assert names(checkpoints) == [".tmp-removed-5", "step-10", "step-15"]
    assert checkpoints.newest_verified()[0].step == 15


def test_state_of_other_settings_is_archived(checkpoints, tmp_path):
    commit(checkpoints, 5)
    other = Checkpoints(checkpoints.folder, digest="d2", keep_latest=2)
    workspace = Workspace(tmp_path, "r")
    assert other.archive_foreign(workspace)
    assert other.newest_verified() == (None, [])
    assert (workspace.run_dir / "archive" / "checkpoints-step-5.1" / COMMITTED).exists()
    assert not other.archive_foreign(workspace)


def test_existing_checkpoints_are_counted_in_bytes(checkpoints):
    commit(checkpoints, 5, content=b"x" * 5000)
    assert 5000 < checkpoints.bytes_used() < 7000
