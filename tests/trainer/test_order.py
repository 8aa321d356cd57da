import numpy as np
import pytest

from uncensor_trainer.data.order import num_steps, sample_order
from uncensor_trainer.data.store import TokenStore, write_store
from uncensor_trainer.data.tokenise import MASKED, Encoded
from uncensor_trainer.exits import WorkspaceFailure

LENGTHS = np.arange(100, dtype=np.int64)


def test_an_epoch_visits_every_row_once():
    order = sample_order(LENGTHS, steps=10, global_batch=10, seed=1)
    assert sorted(order) == list(range(100))


def test_a_longer_run_begins_like_a_shorter_one():
    short = sample_order(LENGTHS, steps=5, global_batch=10, seed=1)
    assert (sample_order(LENGTHS, steps=25, global_batch=10, seed=1)[:50] == short).all()


def test_rows_of_a_global_batch_stand_by_length():
    batches = sample_order(LENGTHS, steps=10, global_batch=10, seed=1).reshape(10, 10)
    assert (np.diff(LENGTHS[batches], axis=1) >= 0).all()


def test_another_seed_gives_another_order():
    one, two = (sample_order(LENGTHS, steps=10, global_batch=10, seed=s) for s in (1, 2))
    assert (one != two).any()


@pytest.mark.parametrize(("rows", "batch", "epochs", "steps"), [(100, 8, 3, 38), (1, 8, 1, 1)])
def test_steps_cover_all_epochs(rows, batch, epochs, steps):
    assert num_steps(rows, batch, epochs) == steps


def test_a_stored_row_comes_back_with_its_mask(tmp_path):
    rows = [("a", 0, Encoded([5, 6, 7], [MASKED, 6, 7])), ("a", 4, Encoded([9], [9]))]
    counts = write_store(tmp_path, rows)
    ids, labels = TokenStore.open(tmp_path).row(0)
    assert (counts["rows"], counts["lossTokens"]) == (2, 3)
    assert (ids.tolist(), labels.tolist()) == ([5, 6, 7], [MASKED, 6, 7])


def test_a_truncated_store_is_refused(tmp_path):
    write_store(tmp_path, [("a", 0, Encoded([5, 6], [5, 6]))])
    (tmp_path / "loss.bin").write_bytes(b"\x01")
    with pytest.raises(WorkspaceFailure, match="damaged"):
        TokenStore.open(tmp_path)
