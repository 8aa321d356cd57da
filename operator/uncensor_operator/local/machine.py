"""What this machine has: cores, memory, disk, GPUs; asked without importing torch."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil

from uncensor_operator.plan.observed import Machine

MIB = 2**20


def look_at_machine(workspace: Path) -> Machine:
    """Return the facts about this machine; the workspace may not exist yet."""
    gpus = _gpu_memories()
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
        memory_bytes=min(psutil.virtual_memory().available, _memory_limit()),
        disk_bytes=shutil.disk_usage(_existing(workspace)).free,
        gpus=len(gpus),
        gpu_memory_bytes=min(gpus, default=0),
    )


def _cores() -> int:
    return os.cpu_count() or 1


def _existing(path: Path) -> Path:
    """Return the nearest folder above that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _memory_limit() -> int:
    """Return the limit of this process's control group; without one, more than any machine has."""
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        text = "max"
    return 2**62 if text == "max" else int(text)


def _gpu_memories() -> list[int]:
    """Return the memory of each visible NVIDIA GPU in bytes; none without the driver's tool."""
    tool = shutil.which("nvidia-smi")
    if tool is None or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return []
    query = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
        memories = [int(line) * MIB for line in found.stdout.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return memories if visible is None else memories[: len(visible.split(","))]
