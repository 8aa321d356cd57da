"""Which process this is, before and without torch: torchrun says it in environment variables."""

from __future__ import annotations

import os


def rank() -> int:
    """Return the number of this process among all processes of the stage."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return the number of processes of the stage."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_world_size() -> int:
    """Return the number of processes of the stage on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def is_main() -> bool:
    """Tell whether this process writes files and speaks for all."""
    return rank() == 0
