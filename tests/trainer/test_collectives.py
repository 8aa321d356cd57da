"""Two real processes on gloo that have to agree."""

import json
import os
import subprocess
import sys

import pytest

from uncensor_trainer.collectives import any_rank, barrier, from_main

AGREE = """
import json, sys
import torch.distributed as torch_dist
from uncensor_trainer import dist
from uncensor_trainer.collectives import any_rank, barrier, from_main
from uncensor_trainer.exits import WorkspaceFailure

torch_dist.init_process_group(
    "gloo", init_method="file://" + sys.argv[1], rank=dist.rank(), world_size=dist.world_size()
)

def fail_with(error):
    raise error

def told(error):
    try:
        from_main(lambda: fail_with(error))
    except Exception as told:
        return [type(told).__name__, str(told)]

print(json.dumps({
    "flags": any_rank(dist.rank() == 1, dist.is_main(), False),
    "value": from_main(lambda: {"made by": dist.rank()}),
    "known": told(WorkspaceFailure("disk full")),
    "unknown": told(KeyError("x")),
}), flush=True)
barrier()
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Return what each of two processes found out."""
    store = tmp_path_factory.mktemp("rendezvous") / "store"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", AGREE, str(store)],
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    return [json.loads(process.communicate()[0]) for process in processes]


def test_a_flag_of_one_process_is_a_flag_of_all(said):
    assert [one["flags"] for one in said] == [[True, True, False]] * 2


def test_what_the_main_process_made_is_the_same_everywhere(said):
    assert [one["value"] for one in said] == [{"made by": 0}] * 2


def test_an_error_for_people_reaches_every_process_as_it_is(said):
    assert [one["known"] for one in said] == [["WorkspaceFailure", "disk full"]] * 2


def test_any_other_error_ends_the_other_processes_too(said):
    assert said[0]["unknown"] == ["KeyError", "'x'"]
    assert said[1]["unknown"] == ["RuntimeError", "process 0 failed: KeyError: 'x'"]


def test_one_process_agrees_with_itself():
    barrier()
    assert any_rank(True, False) == (True, False)
    assert from_main(lambda: 5) == 5
