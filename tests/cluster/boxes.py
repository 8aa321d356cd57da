"""Boxes from outside: open one, and talk to the program that is its first process."""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.errors import ClusterError
from cluster.places import HERE

UNSHARE = ("unshare", "--fork", "--kill-child", "--pid", "--mount", "--mount-proc")
# What is mounted outside is seen inside; what is mounted inside ends with the box.
PRIVATE = ("--propagation", "slave")
# Folders that programs write to under fixed names; each box has its own.
OWN_FOLDERS = {"run": "/run", "log": "/var/log", "lib": "/var/lib"}
# Slow, shared machines: what is not there after so many seconds has another reason.
PATIENCE = 240


def box_argv(folder: Path, *, network: bool, setup: str, relay: Sequence[str] = ()) -> list[str]:
    """The command of a box that keeps its socket and its own /run and /var in `folder`."""
    for name in OWN_FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    binds = [
        f"mount --bind {shlex.quote(str(folder / name))} {where}"
        for name, where in OWN_FOLDERS.items()
    ]
    # kubelet passes mounts on to containers and back; with these namespaces' own peers only.
    script = "\n".join(["mount --make-rshared /", *binds, setup])
    namespaces = [*UNSHARE, *PRIVATE, *(["--net"] if network else [])]
    box = [sys.executable, "-u", str(HERE / "box.py"), str(folder / "box.sock"), script]
    return [*namespaces, *box, *relay]


class Box:
    """A client of `box.py`; every method raises `ClusterError` when the box says no."""

    def __init__(self, folder: Path, logs: Path, environment: Mapping[str, str]) -> None:
        self.socket = folder / "box.sock"
        self.logs = logs
        self.environment = dict(environment)

    def start(
        self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None
    ) -> None:
        """Start a program under `name`; its output goes to `<name>.log`."""
        self.ask(
            do="start",
            name=name,
            argv=[str(word) for word in argv],
            env=self.environment | dict(env or {}),
            log=str(self.logs / f"{name}.log"),
        )

    def restart(self, name: str) -> None:
        """Start a dead program as it was started before."""
        self.ask(do="restart", name=name)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to the program `name`."""
        self.ask(do="signal", name=name, signal=int(number))

    def programs(self) -> dict[str, dict[str, Any]]:
        """Each program ever started: {"pid" (in the box), "exit" (None while it runs), "argv"}."""
        return self.ask(do="status")

    def reaches(self, host: str, port: int) -> bool:
        """Whether something in the box listens there."""
        return bool(self.ask(do="reach", host=host, port=port)["reached"])

    def ask(self, **request: Any) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(30)
                connection.connect(str(self.socket))
                with connection.makefile("rwb") as lines:
                    lines.write(json.dumps(request).encode() + b"\n")
                    lines.flush()
                    reply: dict[str, Any] = json.loads(lines.readline())
        except (OSError, ValueError) as error:
            raise ClusterError(f"The box at {self.socket} does not answer: {error}") from error
        if "error" in reply:
            raise ClusterError(f"The box refused {request['do']}: {reply['error']}")
        return reply


def await_true(what: str, seconds: float, check: Callable[[], bool]) -> None:
    """Ask again and again until `check` says yes; after `seconds`, say what did not come."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} did not come true within {seconds:.0f} s.")
        time.sleep(0.1)


def outlives(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the process still runs after waiting `seconds` for its end."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False
