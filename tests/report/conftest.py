"""Builders of small facts for tests that need no run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import report_example
from uncensor_trainer.report.collect import collect
from uncensor_trainer.report.facts import Facts
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.workspace import Workspace


@pytest.fixture
def a_run(tmp_path: Path) -> Callable[..., RunFile]:
    """Write the example run below tmp_path."""

    def write(**options: Any) -> RunFile:
        return report_example.a_run(tmp_path, **options)

    return write


@pytest.fixture
def facts_of() -> Callable[[RunFile], Facts]:
    """Read what a run left."""

    def read(run: RunFile) -> Facts:
        return collect(run, Workspace(Path(run.workspace), run.run))

    return read
