import hashlib

import pytest
import torch
from safetensors import safe_open

from uncensor_trainer.exits import WorkspaceFailure
from uncensor_trainer.state_files import Piece, StateReader, file_name, num_bytes, write_pieces

NUMBERS = 37  # divides by nothing, so that shares differ


def shares(processes):
    """Return (first, last) of each process's part, as ZeRO 3 cuts: equal parts, the last short."""
    share = -(-NUMBERS // processes)
    return [(min(n * share, NUMBERS), min((n + 1) * share, NUMBERS)) for n in range(processes)]


def saved_by(folder, processes, whole):
    folder.mkdir()
    for rank, (first, last) in enumerate(shares(processes)):
        pieces = [Piece("weight", "layer.a", first, whole[first:last])]
        pieces += [Piece("exp_avg", "layer.a", first, -whole[first:last])]
        write_pieces(folder / file_name(rank, processes), pieces)


@pytest.mark.parametrize("readers", [1, 2, 4, 5])
@pytest.mark.parametrize("writers", [1, 2, 4, 5])
def test_any_number_of_processes_reads_what_any_other_wrote(tmp_path, writers, readers):
    whole = torch.arange(NUMBERS, dtype=torch.float32) / 3
    saved_by(tmp_path / "state", writers, whole)
    for first, last in shares(readers):
        weight, moment = torch.zeros(last - first), torch.zeros(last - first)
        with StateReader(tmp_path / "state") as reader:
            assert reader.names == {"layer.a"}
            reader.fill(Piece("weight", "layer.a", first, weight))
            reader.fill(Piece("exp_avg", "layer.a", first, moment))
        assert torch.equal(weight, whole[first:last])
        assert torch.equal(moment, -whole[first:last])


def test_files_are_plain_safetensors_and_their_receipt_is_true(tmp_path):
    values = torch.rand(5)
    pieces = [Piece("weight", "b", 7, values), Piece("exp_avg_sq", "b", 7, values * 2)]
    path = tmp_path / file_name(0, 1)
    receipt = write_pieces(path, pieces)
    content = path.read_bytes()
    assert receipt == {
        "path": "state-00001-of-00001.safetensors",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    with safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("exp_avg_sq/b"), values * 2)
    assert num_bytes(pieces) == 40


def test_a_view_that_does_not_lie_together_is_written_in_order(tmp_path):
    columns = torch.arange(12.0).view(3, 4).t()[1]
    write_pieces(tmp_path / file_name(0, 1), [Piece("weight", "c", 0, columns)])
    found = torch.zeros(3)
    with StateReader(tmp_path) as reader:
        reader.fill(Piece("weight", "c", 0, found))
    assert found.tolist() == [1.0, 5.0, 9.0]


@pytest.mark.parametrize("name", ["layer.a", "layer.unknown"])
def test_numbers_that_nobody_saved_are_told(tmp_path, name):
    saved_by(tmp_path / "state", 4, torch.ones(NUMBERS))
    (tmp_path / "state" / file_name(2, 4)).unlink()
    with (
        StateReader(tmp_path / "state") as reader,
        pytest.raises(WorkspaceFailure, match=f"of the {NUMBERS} numbers of weight/{name}"),
    ):
        reader.fill(Piece("weight", name, 0, torch.zeros(NUMBERS)))
