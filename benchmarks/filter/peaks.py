"""The most memory that a program and its children had, each for itself."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

PAUSE = 0.02  # seconds between two looks


def most_megabytes(process: subprocess.Popen[str]) -> float:
    """Wait for a program; return the largest VmHWM of any one of its processes."""
    most = 0.0
    while process.poll() is None:
        most = max(most, _peak(process.pid), *map(_peak, _children(process.pid)))
        time.sleep(PAUSE)
    return most


def _children(pid: int) -> list[int]:
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _peak(pid: int) -> float:
    """Megabytes; the kernel starts to count anew when a program begins, unlike getrusage."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0].split()[1]) / 1024 if found else 0.0
