"""The process that a cluster lives by: it holds the lock, opens the box and cleans up at the end.

Run as: python -m cluster.keeper NAME RELAY_FD LOCK_FD BOX_COMMAND...

The cluster ends when the keeper gets SIGTERM, when the box dies, and when standard input ends
before its owner wrote KEEP into it: so an interrupted `up` and a killed pytest leave nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from types import FrameType

from cluster import cgroups
from cluster.errors import ClusterError
from cluster.places import Place

KEEP = b"keep"


class Ended(BaseException):
    """SIGTERM came."""


def end(_signal: int, _frame: FrameType | None) -> None:
    raise Ended


def watch(box: subprocess.Popen[bytes]) -> None:
    """Return when the cluster has no reason to live on."""
    ended = os.pidfd_open(box.pid)
    owner = sys.stdin.fileno()
    watched = [ended, owner]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if ended in ready:
            return
        if os.read(owner, len(KEEP)) != KEEP:
            return
        watched.remove(owner)


def close(box: subprocess.Popen[bytes]) -> None:
    """End everything in the box; when this returns, its processes are gone."""
    assert box.stdin is not None
    box.stdin.close()  # the box ends with its standard input, and the kernel ends the rest
    try:
        box.wait(20)
    except subprocess.TimeoutExpired:
        box.kill()
        box.wait()


def sweep(place: Place) -> None:
    """Remove what a cluster left, but for its logs; whoever calls this holds the lock."""
    remove_cgroups(place.cgroup)
    helm = place.folder / "helm"
    made = (
        place.box,
        place.folder / "n",
        place.folder / "etcd",
        place.secrets,
        place.volumes,
        helm,
    )
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)
    for file in (place.facts, place.keeper, place.kubeconfig):
        file.unlink(missing_ok=True)


def await_end(place: Place) -> None:
    """Wait for the keeper's end, then sweep up once more, in case it was killed."""
    deadline = time.monotonic() + 60
    while (lock := place.try_lock()) is None:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"The keeper of {place.name} did not end within 60 s; its process id is in "
                f"{place.keeper}, its log in {place.logs / 'keeper.log'}."
            )
        time.sleep(0.1)
    with lock:
        sweep(place)


def remove_cgroups(prefix: str) -> None:
    """Remove them; the kernel may count the last processes of a group for some moments more."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            cgroups.remove(prefix)
            return
        time.sleep(0.1)
    cgroups.remove(prefix)


def main() -> None:
    name, relay, _lock, *command = sys.argv[1:]
    place = Place(name)
    signal.signal(signal.SIGTERM, end)
    place.keeper.write_text(str(os.getpid()))
    box = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[int(relay)])
    os.close(int(relay))
    try:
        watch(box)
    except Ended:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    finally:
        close(box)
        sweep(place)


if __name__ == "__main__":
    main()
