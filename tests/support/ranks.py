"""Training attempts by several processes, without torchrun's start for each of them.

Importing torch, transformers and DeepSpeed takes most of the time of a short attempt. Here one
process imports them once and forks the ranks of every attempt, each with what torchrun would have
put into its environment. (That torchrun itself works is seen in test_train_ranks.py.)
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.tiny import write_run_file
from uncensor_trainer.runfile import RunFile


class Ranks:
    """The process that forks; a context manager."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "support.ranks"],
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "DS_ACCELERATOR": "cpu",
                "OMP_NUM_THREADS": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.communicate()

    def attempt(
        self, run: RunFile, processes: int, *, stop_at: int | None = None, stop_rank: int = 0
    ) -> list[dict[str, Any]]:
        """Train with so many processes; return the lines of the main one.

        A process gets SIGTERM when a step is reported; then all have to end with "Stopped".
        """
        path = write_run_file(run, Path(run.workspace) / "run.json")
        order = {
            "run": str(path),
            "processes": processes,
            "stopAt": stop_at,
            "stopRank": stop_rank,
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        told = json.loads(self._server.stdout.readline())
        wanted = "done" if stop_at is None else "StopRequested"
        assert told["ends"] == [wanted] * processes, told
        return told["lines"]


def _serve() -> None:
    """Read orders, fork, and answer on the standard output that the parent reads."""
    import deepspeed  # noqa: F401
    import torch

    import uncensor_trainer.stages.train  # noqa: F401

    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(_attempt(json.loads(line))), file=answers, flush=True)


def _attempt(order: dict[str, Any]) -> dict[str, Any]:
    folder = Path(order["run"]).parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(order["processes"]):
        child = os.fork()
        if child == 0:
            _rank(order, rank, port, folder / f"end-{rank}.json")
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    ends = [json.loads((folder / f"end-{rank}.json").read_text()) for rank in range(len(children))]
    return {"ends": [end["end"] for end in ends], "lines": ends[0]["lines"]}


def _rank(order: dict[str, Any], rank: int, port: int, path: Path) -> None:
    """Be one process of an attempt; never returns."""
    from support.training import train
    from uncensor_trainer.runfile import read_run_file

    path.unlink(missing_ok=True)
    if order["processes"] > 1:
        size = str(order["processes"])
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": size}
        os.environ |= {"LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1"}
        os.environ["MASTER_PORT"] = str(port)
    lines: list[dict[str, Any]] = []
    stop_at = order["stopAt"] if rank == order["stopRank"] else None
    try:
        train(read_run_file(Path(order["run"])), stop_at=stop_at, heard=lines)
        end = "done"
    except BaseException as error:  # noqa: BLE001 - told to the test
        end = type(error).__name__
        if end != "StopRequested":
            traceback.print_exc()
            end = f"{end}: {error}"
    path.write_text(json.dumps({"end": end, "lines": lines}))
    os._exit(0)


if __name__ == "__main__":
    _serve()
