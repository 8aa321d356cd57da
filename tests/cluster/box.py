"""The first process of a box: a set of namespaces in which a cluster, or one of its nodes, lives.

The kernel ends every process of a PID namespace with its first one, and takes a mount or network
namespace down with its last process. So nothing outlives this program, whatever way it ends; and
it ends when its standard input does, that is with its keeper, whatever way *that* ends.

Run as: unshare --pid --fork ... python box.py SOCKET SETUP [RELAY_FD HOST PORT]

SETUP is a shell script. SOCKET answers one JSON line for each JSON line:
    {"do": "start", "name", "argv", "env", "log"}
    {"do": "restart", "name"}                        a dead program, as it was started before
    {"do": "signal", "name", "signal"}
    {"do": "status"}                                 {name: {"pid", "exit", "argv"}}
    {"do": "reach", "host", "port"}                  {"reached": true or false}
RELAY_FD is a listening socket of the outer network; its connections go to HOST and PORT inside.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

NEXT_READ = 1 << 18


@dataclass(slots=True)
class Program:
    """A started program; `code` is its exit code, negative for a signal, None while it runs."""

    argv: list[str]
    env: dict[str, str]
    log: str
    process: subprocess.Popen[bytes]
    code: int | None = None


class Box:
    """Starts programs, knows how they ended, and buries the orphans of their children."""

    def __init__(self) -> None:
        self.programs: dict[str, Program] = {}

    def start(self, name: str, argv: list[str], env: dict[str, str], log: str) -> dict[str, Any]:
        known = self.programs.get(name)
        if known and known.code is None:
            return {"error": f"{name} runs already"}
        with open(log, "ab") as file:
            process = subprocess.Popen(
                argv, env=env, stdin=subprocess.PIPE, stdout=file, stderr=file
            )
        # The write end of its standard input stays open here: a nested box ends with this one.
        self.programs[name] = Program(argv, env, log, process)
        return {"pid": process.pid}

    def restart(self, name: str) -> dict[str, Any]:
        known = self.programs[name]
        return self.start(name, known.argv, known.env, known.log)

    def signal(self, name: str, number: int) -> dict[str, Any]:
        known = self.programs.get(name)
        if known is None or known.code is not None:
            return {"error": f"{name} does not run"}
        os.kill(known.process.pid, number)
        return {}

    def status(self) -> dict[str, Any]:
        return {
            name: {"pid": known.process.pid, "exit": known.code, "argv": known.argv}
            for name, known in self.programs.items()
        }

    def bury(self) -> None:
        """Collect every dead child, adopted ones too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for known in self.programs.values():
                if known.process.pid == pid and known.code is None:
                    known.code = known.process.returncode = os.waitstatus_to_exitcode(status)

    async def do(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.pop("do"):
            case "start":
                return self.start(**request)
            case "restart":
                return self.restart(request["name"])
            case "signal":
                return self.signal(request["name"], request["signal"])
            case "status":
                return self.status()
            case "reach":
                return {"reached": await reaches(request["host"], request["port"])}
            case other:
                return {"error": f"a box cannot {other!r}"}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            try:
                reply = await self.do(json.loads(line))
            except (OSError, KeyError, TypeError, ValueError) as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        writer.close()


async def reaches(host: str, port: int) -> bool:
    """Whether something in the box accepts a connection."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), timeout=2)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction of a connection until its end."""
    try:
        while data := await reader.read(NEXT_READ):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()  # the other direction ends by this


async def relay(listener: socket.socket, host: str, port: int) -> asyncio.Server:
    """Bring connections of `listener`, which lives outside, to `host:port` inside the box."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(host, port, limit=NEXT_READ)
        except OSError:
            writer.transport.abort()  # as a server that is down: refused or reset
            return
        await asyncio.gather(pour(reader, inner_writer), pour(inner_reader, writer))
        inner_writer.close()
        writer.close()

    return await asyncio.start_server(connect, sock=listener, limit=NEXT_READ)


async def serve(path: str, relayed: list[str]) -> None:
    """Answer requests until standard input ends."""
    loop = asyncio.get_running_loop()
    box = Box()
    loop.add_signal_handler(signal.SIGCHLD, box.bury)
    over = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    loop.add_reader(sys.stdin.fileno(), over.set)
    servers = [await asyncio.start_unix_server(box.answer, path)]
    if relayed:
        descriptor, host, port = relayed
        servers.append(await relay(socket.socket(fileno=int(descriptor)), host, int(port)))
    await over.wait()


def main() -> None:
    path, setup, *relayed = sys.argv[1:]
    subprocess.run(["/bin/sh", "-euc", setup], check=True, stdin=subprocess.DEVNULL)
    asyncio.run(serve(path, relayed))
    # The kernel ends what still runs here; there is nothing to say goodbye to.
    os._exit(0)


if __name__ == "__main__":
    main()
