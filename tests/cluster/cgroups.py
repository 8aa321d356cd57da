"""The control groups of nodes: made before a kubelet starts, removed after everything ended."""

from __future__ import annotations

import contextlib
from pathlib import Path


def hierarchies() -> dict[Path, bool]:
    """Where control groups are mounted; True for version 2."""
    rows = [row.split() for row in Path("/proc/mounts").read_text().splitlines()]
    return {Path(row[1]): row[2] == "cgroup2" for row in rows if row[2] in {"cgroup", "cgroup2"}}


def make(name: str) -> None:
    """Make the group `name` in every hierarchy, able to have children with limits."""
    for mount, unified in hierarchies().items():
        group = mount / name
        group.mkdir(exist_ok=True)
        if unified:
            delegate(mount)
            delegate(group)
        for fact in ("cpuset.cpus", "cpuset.mems"):
            if not unified and (group / fact).exists():
                # A new cpuset of version 1 is empty and can hold no process.
                (group / fact).write_text((mount / fact).read_text())


def delegate(group: Path) -> None:
    """Let the children of a group of version 2 be limited by every controller there is."""
    for controller in (group / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):  # some cannot be given on, such as cpuset with threads
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(prefix: str) -> None:
    """Remove every group at the top whose name starts with `prefix`, children first."""
    for mount in hierarchies():
        for group in mount.glob(f"{prefix}-*"):
            for folder in sorted(group.rglob("*"), reverse=True):
                if folder.is_dir():
                    remove_group(folder)
            remove_group(group)


def remove_group(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()


def left(prefix: str) -> list[Path]:
    """The groups that still exist."""
    return [group for mount in hierarchies() for group in mount.glob(f"{prefix}-*")]
