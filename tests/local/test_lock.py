import contextlib
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from uncensor_operator.errors import UncensorError
from uncensor_operator.local.lock import is_locked, run_lock

HOLD = textwrap.dedent(
    """
    import subprocess, sys
    from pathlib import Path
    from uncensor_operator.local.lock import run_lock
    with run_lock(Path(sys.argv[1])) as lock:
        child = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
        print(child.pid, flush=True)
        sys.stdin.read()
    """
)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock, with a child that has inherited it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(process.stdout.readline())
    yield process, child
    process.kill()
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    process.communicate()


def test_a_second_process_is_refused_with_the_first_one_named(tmp_path, holder):
    process, _ = holder
    with (
        pytest.raises(UncensorError, match=rf"started by process {process.pid}"),
        run_lock(tmp_path, wait_seconds=0),
    ):
        pass


def test_waiting_is_announced_once(tmp_path, holder):
    told = []
    with (
        pytest.raises(UncensorError),
        run_lock(tmp_path, wait_seconds=0.5, on_wait=lambda: told.append(1)),
    ):
        pass
    assert told == [1]


def test_a_child_keeps_the_lock_after_its_parent_was_killed(tmp_path, holder):
    process, child = holder
    process.kill()
    process.wait()
    assert is_locked(tmp_path)
    os.kill(child, signal.SIGKILL)
    with run_lock(tmp_path, wait_seconds=20):
        assert is_locked(tmp_path)


def test_a_folder_without_a_run_is_not_locked(tmp_path):
    assert not is_locked(tmp_path)
    with run_lock(tmp_path / "run"):
        assert is_locked(tmp_path / "run")
    assert not is_locked(tmp_path / "run")
