import pytest

from uncensor_trainer.data.store import TokenStore, num_rows, write_store
from uncensor_trainer.data.tokenise import MASKED, Encoded
from uncensor_trainer.exits import WorkspaceFailure

ROWS = [("a", 0, Encoded([5, 6, 7], [MASKED, 6, 7])), ("b", 4, Encoded([9], [9]))]


@pytest.fixture
def store(tmp_path):
    write_store(tmp_path, ROWS)
    return TokenStore.open(tmp_path)


def test_rows_know_where_they_came_from(store):
    assert store.origins([1, 0]) == [("b", 4), ("a", 0)]


def test_counts_are_read_without_opening_the_store(store):
    assert num_rows(store.folder) == len(store) == 2


def test_an_untouched_store_verifies(store):
    store.verify()


def test_a_flipped_bit_of_the_same_size_is_found(store):
    path = store.folder / "tokens.bin"
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    with pytest.raises(WorkspaceFailure, match=r"tokens\.bin does not have the bytes"):
        store.verify()


@pytest.mark.parametrize("name", ["tokens.bin", "loss.bin", "offsets.npy", "store.json"])
def test_a_missing_file_is_told_with_the_remedy(store, name):
    (store.folder / name).unlink()
    with pytest.raises(WorkspaceFailure, match="--from prepare"):
        TokenStore.open(store.folder)
