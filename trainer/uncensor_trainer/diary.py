"""The story of a run on its workspace, written by the stages themselves on a cluster.

On one machine `uncensor run` writes it, because it sees more: the processes that were killed. In a
pod nobody else can reach the workspace, so `UNCENSOR_DIARY` makes the stage do it.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from uncensor_trainer import dist
from uncensor_trainer.exits import ExitCode
from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.workspace import Workspace, append_line

VARIABLE = "UNCENSOR_DIARY"
RUN_FILE = "run.json"


class Diary:
    """Appends to `events.jsonl`; does nothing unless asked to, and on every process but one."""

    def __init__(self, run: RunFile, stage: str) -> None:
        self._workspace = Workspace(Path(run.workspace), run.run)
        self._stage = stage
        self._asked = bool(os.environ.get(VARIABLE)) and dist.is_main()
        self._began = time.time()

    def begin(self, run: RunFile) -> None:
        """Note the start of the stage, and leave the run file for whoever looks at the folder."""
        if not self._asked:
            return
        folder = self._workspace.run_dir
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{RUN_FILE}.partial"
        partial.write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
        partial.replace(folder / RUN_FILE)
        self._note("stage-started")

    def end(self, code: int, message: str = "", *, skipped: bool = False) -> None:
        """Note how the stage ended; a workspace that cannot be written is told elsewhere."""
        if not self._asked:
            return
        names = {
            ExitCode.DONE: "stage-skipped" if skipped else "stage-finished",
            ExitCode.STOPPED_AND_SAVED: "stage-stopped",
        }
        name = names.get(ExitCode(code), "stage-failed")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        values: dict[str, Json] = {
            "seconds": round(time.time() - self._began, 3),
            "code": code,
            "peakMemoryBytes": peak,
        }
        try:
            self._note(name, **values, **({"message": message} if message else {}))
        except OSError:
            return

    def _note(self, event: str, **values: Json) -> None:
        line: dict[str, Json] = {"time": time.time(), "event": event, "stage": self._stage}
        append_line(self._workspace.events, {**line, **values})
