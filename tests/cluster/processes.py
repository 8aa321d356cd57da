"""The processes of pods, as this machine sees them: to kill and to stop what really runs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from cluster.api import Object


def processes_of(pod: Object) -> list[int]:
    """Ids of the pod's processes, without the one that only holds its namespaces."""
    uid = pod["metadata"]["uid"]
    return sorted(
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if belongs(folder, uid) and not holds_namespaces(folder)
    )


def signal_pod(pod: Object, number: int) -> int:
    """Send a signal to all of the pod's processes; how many there were."""
    found = processes_of(pod)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return len(found)


def belongs(folder: Path, uid: str) -> bool:
    try:
        return f"pod{uid}" in (folder / "cgroup").read_text()
    except OSError:  # it ended meanwhile
        return False


def holds_namespaces(folder: Path) -> bool:
    try:
        return (folder / "cmdline").read_bytes().startswith(b"/pause\0")
    except OSError:
        return True
