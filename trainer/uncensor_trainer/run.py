"""Run one stage: skip what is done, write beside, make visible at once, end with a clear word."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uncensor_trainer import dist
from uncensor_trainer.diary import Diary
from uncensor_trainer.exits import ExitCode, Hanging, InvalidInput, as_stage_error
from uncensor_trainer.heartbeat import Heartbeat, stall_timeout
from uncensor_trainer.progress import Json, Progress
from uncensor_trainer.runfile import RunFile, read_run_file
from uncensor_trainer.workspace import Workspace

# Modules are named here and imported on demand: filter needs no torch, and starts in a blink.
STAGES: dict[str, str] = {
    "fetch": "uncensor_trainer.stages.fetch",
    "filter": "uncensor_trainer.stages.filter",
    "prepare": "uncensor_trainer.stages.prepare",
    "train": "uncensor_trainer.stages.train",
    "train-control": "uncensor_trainer.stages.train",
    "probe": "uncensor_trainer.stages.probe",
    "evaluate": "uncensor_trainer.stages.evaluate",
    "report": "uncensor_trainer.stages.report",
}
TRAINING_STAGES = ("train", "train-control")
PACKAGES = ("uncensor-operator", "torch", "transformers", "deepspeed", "peft", "accelerate")
TERMINATION_MESSAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage gets to see."""

    run: RunFile
    stage: str
    workspace: Workspace
    progress: Progress

    @property
    def digest(self) -> str:
        """Digest of everything that decides this stage's output."""
        return self.run.stage(self.stage).digest


OnStall = Callable[[str], None]
StageFunction = Callable[[StageContext, Path], dict[str, Json]]


def main(run_file: Path, stage: str, termination_message: Path | None = None) -> int:
    """Run a stage of a run file and return the exit code; never raises."""
    progress = Progress(stage)
    diary: Diary | None = None
    try:
        run = read_run_file(run_file)
        diary = Diary(run, stage)
        diary.begin(run)
        outcome = run_stage(
            run, stage, progress, _end_at_once(diary, progress, termination_message)
        )
    except BaseException as error:  # noqa: BLE001 - the last frame: everything becomes a code
        code, message = _report_failure(error, stage, progress, termination_message)
        if diary is not None:
            diary.end(code, message)
        return code
    if dist.is_main():
        _write_outcome(termination_message, outcome)
        diary.end(ExitCode.DONE, skipped=outcome["outcome"] == "skipped")
    return ExitCode.DONE


def run_stage(
    run: RunFile, stage: str, progress: Progress, on_stall: OnStall | None = None
) -> dict[str, Json]:
    """Bring the output of one stage into being, unless it is complete already.

    Raises:
        StageError: an end that people should read about.
    """
    plan = run.stage(stage)
    if stage not in STAGES:
        raise InvalidInput(f"This version has no stage {stage!r}.")
    workspace = Workspace(Path(run.workspace), run.run)
    if workspace.is_complete(stage, plan.digest):
        progress.event("skipped", message="complete, made from the same inputs")
        known = workspace.record(stage) or {}
        return {"outcome": "skipped", "summary": known.get("summary")}
    context = StageContext(run, stage, workspace, progress)
    started = time.time()
    partial = _partial_folder(workspace, stage, plan.digest)
    # Libraries print; standard output is for our JSON lines, whose stream `progress` holds.
    heartbeat = _heartbeat(workspace, progress, on_stall or _end_at_once(None, progress, None))
    with contextlib.redirect_stdout(sys.stderr), heartbeat:
        function: StageFunction = importlib.import_module(STAGES[stage]).run
        summary = function(context, partial)
    if not dist.is_main():
        return {"outcome": "done"}
    finished = time.time()
    record: dict[str, Json] = {
        "stage": stage,
        "digest": plan.digest,
        "startedAt": started,
        "finishedAt": finished,
        "seconds": round(finished - started, 3),
        "summary": summary,
        "versions": _versions(),
    }
    workspace.commit(stage, partial, record)
    progress.event("done", seconds=round(finished - started, 3), summary=summary)
    return {"outcome": "done", "summary": summary}


def _heartbeat(workspace: Workspace, progress: Progress, on_stall: OnStall) -> Heartbeat:
    """Return the signs of life of a stage; only training can hang for what others do."""
    trains = progress.stage in TRAINING_STAGES
    return Heartbeat(
        progress,
        file=workspace.output(progress.stage).parent / "heartbeat.json" if trains else None,
        stacks=workspace.run_dir / "stacks",
        timeout=stall_timeout() if trains else None,
        on_stall=on_stall,
    )


def _end_at_once(diary: Diary | None, progress: Progress, termination: Path | None) -> OnStall:
    """Return what ends a hanging process, whose main thread never comes back to say so."""

    def end(message: str) -> None:
        code, told = _report_failure(Hanging(message), progress.stage, progress, termination)
        if diary is not None:
            diary.end(code, told)
        os._exit(code)

    return end


def _partial_folder(workspace: Workspace, stage: str, digest: str) -> Path:
    """Only the main process empties the folder; the others know its name."""
    if dist.is_main():
        return workspace.begin(stage, digest)
    output = workspace.output(stage)
    return output.with_name(f".{output.name}.partial-{digest[:12]}")


def _versions() -> dict[str, Json]:
    found: dict[str, Json] = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _report_failure(
    error: BaseException, stage: str, progress: Progress, termination_message: Path | None
) -> tuple[int, str]:
    """Tell everybody why the stage failed; return the exit code and the sentence."""
    known = as_stage_error(error)
    if known is None:
        traceback.print_exception(error, file=sys.stderr)
        code, reason = ExitCode.OWN_BUG, "ControllerError"
        message = f"A fault of our own in {stage}: {type(error).__name__}: {error}"
    else:
        code, reason, message = known.code, known.reason, str(known)
    progress.event("failed", reason=reason, message=message, code=int(code))
    outcome: dict[str, Json] = {
        "outcome": "failed",
        # torchrun ends with 1 whatever its workers return; readers take the code from here.
        "code": int(code),
        "reason": reason,
        "message": message,
        **(known.facts if known is not None else {}),
    }
    # Usually all ranks fail alike and the main one speaks; the first to fail alone speaks itself.
    if termination_message is not None and (dist.is_main() or not termination_message.exists()):
        _write_outcome(termination_message, outcome)
    return code, message


def _write_outcome(path: Path | None, outcome: dict[str, Json]) -> None:
    """Write what Kubernetes shows as the termination message (at most 4 KiB)."""
    if path is None:
        return
    text = json.dumps(outcome, ensure_ascii=False)
    if len(text.encode()) > TERMINATION_MESSAGE_BYTES:
        outcome = {**outcome, "summary": None, "message": str(outcome.get("message", ""))[:1500]}
        text = json.dumps(outcome, ensure_ascii=False)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"{path} cannot be written: {os.strerror(error.errno or 0)}", file=sys.stderr)  # noqa: T201
