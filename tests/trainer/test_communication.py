"""The clock of collective operations; tests/trainer/test_train_ranks.py asks real ones."""

import sys
from types import SimpleNamespace

import pytest

from uncensor_trainer import communication
from uncensor_trainer.communication import CommunicationClock, counted


class Backend:
    """What DeepSpeed's backend looks like from outside; each operation takes a second."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds=1.0):
        self.now += seconds

    def all_reduce(self, tensor, async_op=False):
        self.sleep()
        return SimpleNamespace(wait=self.sleep, sent=tensor) if async_op else None

    def all_gather_coalesced(self, tensors):
        for tensor in tensors:
            self.all_reduce(tensor)

    def barrier(self):
        self.sleep()
        raise OSError("a neighbour is gone")

    def get_rank(self):
        self.sleep()


@pytest.fixture
def backend(monkeypatch):
    made = Backend()
    monkeypatch.setitem(sys.modules, "deepspeed.comm.comm", SimpleNamespace(cdb=made))
    clock = SimpleNamespace(perf_counter=lambda: made.now)
    monkeypatch.setattr(communication, "time", clock)
    return made


def test_waiting_is_counted_and_work_between_is_not(backend):
    clock = CommunicationClock(gpu=False)
    with counted(clock):
        handle = backend.all_reduce(7, async_op=True)
        backend.sleep(10.0)
        handle.wait()
        backend.get_rank()
    assert handle.sent == 7
    assert clock.seconds() == 2.0
    assert clock.seconds() == 0


def test_an_operation_made_of_others_counts_once(backend):
    clock = CommunicationClock(gpu=False)
    with counted(clock):
        backend.all_gather_coalesced([1, 2, 3])
    assert clock.seconds() == 3.0


def test_an_operation_that_fails_counts_and_nothing_stays_wrapped(backend):
    clock = CommunicationClock(gpu=False)
    with pytest.raises(OSError, match="gone"), counted(clock):
        backend.barrier()
    backend.all_reduce(1)
    assert clock.seconds() == 1.0
