"""Where the harness keeps its files: a cache outside the checkout, a folder for each cluster."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cluster.errors import ClusterError

HERE = Path(__file__).parent
# A Unix socket has a path of 107 bytes at most; the longest of ours takes 55 below the folder.
LONGEST_FOLDER = 107 - 55


def cache() -> Path:
    """The cache: `$UNCENSOR_CACHE`, or `uncensor-testbed` in the user's cache folder."""
    if named := os.environ.get("UNCENSOR_CACHE"):
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "uncensor-testbed"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`; wait for whoever holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one cluster; `name` tells clusters on the same machine apart."""

    name: str

    @property
    def folder(self) -> Path:
        return cache() / "c" / self.name

    @property
    def lock(self) -> Path:
        """Locked as long as the cluster lives, by its keeper."""
        return self.folder / "lock"

    @property
    def facts(self) -> Path:
        """`cluster.json`: what runs, for `status` and for a second `up`."""
        return self.folder / "cluster.json"

    @property
    def keeper(self) -> Path:
        """The process id of the keeper."""
        return self.folder / "keeper.pid"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def logs(self) -> Path:
        """One file a program; they stay after `down`, until the next `up`."""
        return self.folder / "logs"

    @property
    def secrets(self) -> Path:
        """Keys, certificates, tokens and the kubeconfigs of the programs."""
        return self.folder / "secrets"

    @property
    def box(self) -> Path:
        """What the box mounts over /run and /var, and its socket."""
        return self.folder / "b"

    def node(self, node: str) -> Path:
        """What the node `node` mounts over /run and /var, and its socket."""
        return self.folder / "n" / node

    @property
    def volumes(self) -> Path:
        """Folders that pods of all nodes mount as persistent volumes."""
        return self.folder / "volumes"

    @property
    def cgroup(self) -> str:
        """Prefix of the control groups of the nodes, in every hierarchy."""
        return f"uncensor-{self.name}"

    def check(self) -> None:
        """Refuse names and caches that the kernel cannot address."""
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,14}[a-z0-9])?", self.name):
            raise ClusterError(
                f"The cluster name {self.name!r} is not usable: up to 16 of a-z, 0-9 and '-'."
            )
        if len(str(self.folder)) > LONGEST_FOLDER:
            raise ClusterError(
                f"The folder {self.folder} is too long for Unix sockets: at most "
                f"{LONGEST_FOLDER} characters. Set UNCENSOR_CACHE to a shorter path."
            )
        if self.folder.is_relative_to("/run") or self.folder.is_relative_to("/var"):
            raise ClusterError(
                f"The folder {self.folder} would be hidden in the cluster, which has a /run and "
                "/var of its own. Set UNCENSOR_CACHE to a folder elsewhere."
            )

    def try_lock(self) -> IO[str] | None:
        """The locked lock file, or None when the cluster lives (or is being started)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.lock.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file
