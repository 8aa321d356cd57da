"""What real processes do to each other, and what SIGKILL leaves.

The server decides when they meet: it holds a body back until the test says so.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.http_server import FileServer, file_server
from uncensor_trainer.workspace import Workspace

CONTENT = bytes(range(256)) * 20_000
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server({"/rows.json": CONTENT}) as state:
        state.stalls_at = 3_000_000
        yield state


@pytest.fixture
def start(
    server: FileServer, workspace: Workspace, model: Path, run_file: Callable[..., Path]
) -> Iterator[Start]:
    """Start fetch in a process of its own, as the runner does, for a run of that name."""
    processes: list[subprocess.Popen[str]] = []

    def started(run: str) -> subprocess.Popen[str]:
        source = {"kind": "http", "url": f"{server.url}/rows.json"}
        path = run_file(
            run=run,
            model={"kind": "path", "path": str(model)},
            datasets=[{"name": "rows", "source": source}],
        )
        command = [sys.executable, "-m", "uncensor_trainer", "--run-file", path, "--stage", "fetch"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield started
    server.goes_on.set()
    for process in processes:
        process.kill()
        process.communicate()


def test_a_killed_download_goes_on_where_it_was(
    server: FileServer, start: Start, workspace: Workspace
) -> None:
    first = start("night")
    assert server.is_stalled.wait(60)
    _wait_for(lambda: _brought(workspace) > 1_000_000)
    first.kill()
    first.wait()
    assert list((workspace.root / "datasets").glob("[!.]*")) == []
    assert workspace.record("fetch") is None
    have = _brought(workspace)

    server.goes_on.set()
    assert start("night").wait(60) == 0
    assert server.requests[-1]["Range"] == f"bytes={have}-"
    assert hashlib.sha256(_fetched(workspace).read_bytes()).digest() == (
        hashlib.sha256(CONTENT).digest()
    )


def test_two_runs_that_want_the_same_bring_it_once(
    server: FileServer, start: Start, workspace: Workspace
) -> None:
    first = start("night")
    assert server.is_stalled.wait(60)
    second = start("day")
    assert second.stdout is not None
    assert any("waiting for it" in line for line in second.stdout)
    server.goes_on.set()
    assert (first.wait(60), second.wait(60)) == (0, 0)
    assert len(server.requests) == 1
    assert _fetched(workspace) == _fetched(Workspace(workspace.root, "day"))
    assert _fetched(workspace).read_bytes() == CONTENT


def test_a_run_takes_over_when_the_one_it_waits_for_is_killed(
    server: FileServer, start: Start, workspace: Workspace
) -> None:
    first = start("night")
    assert server.is_stalled.wait(60)
    second = start("day")
    assert second.stdout is not None
    assert any("waiting for it" in line for line in second.stdout)
    first.kill()
    server.goes_on.set()
    assert second.wait(60) == 0
    assert _fetched(Workspace(workspace.root, "day")).read_bytes() == CONTENT


def _wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)  # the test's own timeout ends it


def _brought(workspace: Workspace) -> int:
    return sum(path.stat().st_size for path in workspace.root.rglob(".*/rows.json.part"))


def _fetched(workspace: Workspace) -> Path:
    sources: dict[str, Any] = json.loads(
        (workspace.output("fetch") / "sources.json").read_text(encoding="utf-8")
    )
    return workspace.root / sources["datasets"]["rows"]["files"][0]
