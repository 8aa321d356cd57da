"""Every file operation of a save as a crash point, and damage to every file of a checkpoint."""

import random
import shutil
from pathlib import Path

import pytest

from support.faults import DAMAGE, FAULTS, KILL, NEVER, loaded, save, save_with_fault
from uncensor_trainer.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Return a folder with the checkpoints of steps 1 and 2."""
    checkpoints = kept_in(tmp_path_factory.mktemp("two"))
    for step in (1, 2):
        save(checkpoints, step)
    return checkpoints.folder


def kept_in(folder):
    return Checkpoints(folder, digest="d", keep_latest=2)


@pytest.fixture
def copies(two, tmp_path):
    """Return a maker of copies of them."""
    return lambda name: kept_in(shutil.copytree(two, tmp_path / str(name)))


def newest(checkpoints):
    """Return the step that a new attempt goes on from, having read all of its numbers."""
    checkpoints.clean()
    found, _ = checkpoints.newest_verified()
    assert found is not None
    assert loaded(found.folder, found.step)
    return found.step


@pytest.mark.parametrize("fault", FAULTS)
def test_a_save_may_end_at_any_file_operation(copies, fault):
    end, operations = save_with_fault(copies("whole"), 3, at=NEVER, fault=KILL)
    assert end == "done"
    assert operations > 20
    ends = []
    for at in range(operations):
        checkpoints = copies(at)
        end, _ = save_with_fault(checkpoints, 3, at=at, fault=FAULTS[fault])
        ends.append(end)
        step = newest(checkpoints)
        assert step == 3 if end == "done" else step in (2, 3)
        save(checkpoints, 4)
        assert newest(checkpoints) == 4
    assert set(ends) <= {"killed", "refused", "done"}
    assert ends[0] != "done"


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_to_any_file_is_found_and_costs_one_checkpoint(copies, damage):
    files = sorted(path.name for path in (copies("whole").folder / "step-2").iterdir())
    assert len(files) == 4
    for name in files:
        other = copies(name)
        DAMAGE[damage](Path(other.folder / "step-2" / name), random.Random(name))  # noqa: S311
        assert newest(other) == 1
        assert len(list((other.folder / "quarantine").iterdir())) == 1


def test_damage_to_all_checkpoints_leaves_nothing_to_go_on_from(copies):
    checkpoints = copies("all")
    for step in (1, 2):
        (checkpoints.folder / f"step-{step}" / "counters.json").write_text("x")
    found, notes = checkpoints.newest_verified()
    assert found is None
    assert len(notes) == 2
