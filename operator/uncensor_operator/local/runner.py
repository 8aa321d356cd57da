"""Run the stages of a plan in order; whoever looks on gets every event.

The workspace keeps the story in `events.jsonl`, so that the report can tell it although the
command was stopped and started again.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from uncensor_operator.local.lock import run_lock
from uncensor_operator.local.process import TRAINING, StageEnd, StageEvent, StageProcess
from uncensor_operator.plan.decide import Action, Decision
from uncensor_trainer.exits import ExitCode
from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.workspace import Workspace, append_line

RUN_FILE = "run.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        code: 0, or the exit code of the stage that failed.
        stage: the stage that failed or was stopped; empty when all is done.
        message: why, in a sentence.
        log: where the stage's log lies.
    """

    code: int = 0
    stage: str = ""
    message: str = ""
    log: Path | None = None

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop, with its state saved."""
        return self.code == ExitCode.STOPPED_AND_SAVED


class Listener:
    """Looks on while a run happens; every method may be overridden."""

    def stage_started(self, stage: str) -> None:
        """A stage begins to work."""

    def stage_event(self, stage: str, event: StageEvent) -> None:
        """A stage says something: progress, a note."""

    def stage_ended(self, stage: str, end: StageEnd, seconds: float) -> None:
        """A stage is done, failed or was stopped."""

    def stage_skipped(self, stage: str, why: str) -> None:
        """A stage has nothing to do."""

    def stopping(self, again: bool) -> None:
        """Ctrl-C or SIGTERM arrived; `again` for the second time."""

    def waiting(self) -> None:
        """Another process still holds the run."""


def execute(run: RunFile, decisions: Sequence[Decision], listener: Listener) -> Outcome:
    """Run every stage that was decided to run; stop at the first that does not end well.

    Raises:
        UncensorError: another process works on the same run.
        OSError: the workspace cannot be written.
    """
    workspace = Workspace(Path(run.workspace), run.run)
    with run_lock(workspace.run_dir, on_wait=listener.waiting) as lock:
        run_file = workspace.run_dir / RUN_FILE
        _write_run_file(run, run_file)
        runner = _Runner(run, run_file, workspace, lock, listener)
        with _stops_by_signal(runner.stop):
            return runner.run(decisions)


def _write_run_file(run: RunFile, path: Path) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


@contextmanager
def _stops_by_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the run instead of killing us; only the main thread may ask so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Runner:
    """The state of one execution: the stage at work, and whether to stop."""

    def __init__(
        self, run: RunFile, run_file: Path, workspace: Workspace, lock: int, listener: Listener
    ) -> None:
        self._run = run
        self._run_file = run_file
        self._workspace = workspace
        self._lock = lock
        self._listener = listener
        self._process: StageProcess | None = None
        self._stops = 0

    def stop(self) -> None:
        self._stops += 1
        self._listener.stopping(again=self._stops > 1)
        if self._process is not None:
            self._process.stop()

    def run(self, decisions: Sequence[Decision]) -> Outcome:
        for decision in decisions:
            if decision.action is Action.SKIP:
                self._note("stage-skipped", decision.stage)
                self._listener.stage_skipped(decision.stage, decision.why)
            elif decision.action is Action.RUN:
                outcome = self._run_stage(decision)
                if outcome.code != 0:
                    return outcome
        return Outcome()

    def _run_stage(self, decision: Decision) -> Outcome:
        stage = decision.stage
        if self._told_to_stop():
            return self._not_begun(stage)
        self._put_aside(stage)
        log = self._workspace.run_dir / "logs" / f"{stage}.log"
        self._note("stage-started", stage)
        self._listener.stage_started(stage)
        started = time.monotonic()
        self._process = StageProcess(self._run, self._run_file, stage, log, self._lock)
        if self._told_to_stop():  # the signal came while the process was being made
            self._process.stop()
        end = self._process.follow(lambda event: self._listener.stage_event(stage, event))
        self._process = None
        seconds = time.monotonic() - started
        self._note_end(stage, end, seconds)
        self._listener.stage_ended(stage, end, seconds)
        if end.code == 0:
            return Outcome()
        if self._told_to_stop() and end.code < 0:
            return Outcome(ExitCode.STOPPED_AND_SAVED, stage, "Ended at once, as told.", log)
        code = end.code if end.code > 0 else ExitCode.OWN_BUG
        return Outcome(code, stage, end.message, log)

    def _told_to_stop(self) -> bool:
        # A method, because a signal may change the answer between two lines.
        return self._stops > 0

    def _put_aside(self, stage: str) -> None:
        """Move a complete output of the same digest aside, or the stage would skip itself."""
        digest = self._run.stage(stage).digest
        if not self._workspace.is_complete(stage, digest):
            return
        self._workspace.archive(self._workspace.output(stage))
        if stage in TRAINING:
            arm = "filtered" if stage == TRAINING[0] else "control"
            for name in ("checkpoints", "metrics.jsonl"):
                self._workspace.archive(self._workspace.arm_dir(arm) / name)

    def _not_begun(self, stage: str) -> Outcome:
        return Outcome(ExitCode.STOPPED_AND_SAVED, stage, "Stopped before this stage began.")

    def _note(self, event: str, stage: str, **values: Json) -> None:
        line: dict[str, Json] = {"time": time.time(), "event": event, "stage": stage, **values}
        append_line(self._workspace.events, line)

    def _note_end(self, stage: str, end: StageEnd, seconds: float) -> None:
        name = {
            ExitCode.DONE: "stage-skipped" if end.skipped else "stage-finished",
            ExitCode.STOPPED_AND_SAVED: "stage-stopped",
        }.get(ExitCode(end.code) if end.code in set(ExitCode) else ExitCode.OWN_BUG)
        self._note(
            name or "stage-failed",
            stage,
            seconds=round(seconds, 3),
            code=end.code,
            peakMemoryBytes=end.peak_memory_bytes,
            **({"message": end.message} if end.message else {}),
        )
