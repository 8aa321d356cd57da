"""One stage as a child process: its events as they come, its log on the workspace, its end."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from uncensor_operator.names import StageName
from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.workspace import read_json

TRAINING = (StageName.TRAIN.value, StageName.TRAIN_CONTROL.value)
LOG_TAIL_LINES = 15
PR_SET_PDEATHSIG = 1
SECONDS_TO_SAVE = "600"

StageEvent = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class StageEnd:
    """How a stage ended.

    Attributes:
        code: exit status; negative for a signal that killed it.
        message: the trainer's sentence, or the last lines of its log when it left none.
        summary: the numbers of a stage that is done.
        peak_memory_bytes: largest resident size of a process of the stage.
        skipped: the stage found its output complete.
    """

    code: int
    message: str = ""
    summary: Mapping[str, Json] | None = None
    peak_memory_bytes: int = 0
    skipped: bool = False


class StageProcess:
    """A running stage. `stop` may be called from a signal handler."""

    def __init__(self, run: RunFile, run_file: Path, stage: str, log: Path, lock: int) -> None:
        self._log = log
        self._termination = log.with_suffix(".end.json")
        self._stops = 0
        log.parent.mkdir(parents=True, exist_ok=True)
        self._termination.unlink(missing_ok=True)
        self._log_file = log.open("a", encoding="utf-8")
        self._log_start = log.stat().st_size
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            _command(run, run_file, stage),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log_file,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=_environment(run, self._termination),
            # Ctrl-C goes to us alone; we tell the stage, which saves and ends.
            start_new_session=True,
            pass_fds=(lock,),
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads hold locks at this point
        )

    def follow(self, listener: Callable[[StageEvent], None]) -> StageEnd:
        """Hand every event to the listener until the stage has ended."""
        assert self._process.stdout is not None  # noqa: S101 - opened as a pipe above
        for line in self._process.stdout:
            event = self._parse(line)
            if event is not None:
                listener(event)
        self._process.stdout.close()
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._log_file.close()
        return self._end(usage.ru_maxrss * 1024)

    def stop(self) -> None:
        """Ask the stage to save and end; the second time, end it at once."""
        self._stops += 1
        number = signal.SIGTERM if self._stops == 1 else signal.SIGKILL
        try:
            if number is signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
        except ProcessLookupError:
            return

    def _parse(self, line: str) -> StageEvent | None:
        """Every line goes to the log; JSON objects are events, the rest is somebody's chatter."""
        self._log_file.write(line)
        self._log_file.flush()
        try:
            event = json.loads(line)
        except ValueError:
            return None
        return event if isinstance(event, dict) and "event" in event else None

    def _end(self, peak: int) -> StageEnd:
        code = self._process.returncode
        outcome = read_json(self._termination) or {}
        summary = outcome.get("summary")
        message = str(outcome.get("message", ""))
        told = outcome.get("code")
        if code > 0 and isinstance(told, int):
            code = told  # torchrun has only 1 for every failure of its workers
        if code != 0 and not message:
            message = self._unspoken_end(code)
        return StageEnd(
            code=code,
            message=message,
            summary=summary if isinstance(summary, dict) else None,
            peak_memory_bytes=peak,
            skipped=outcome.get("outcome") == "skipped",
        )

    def _unspoken_end(self, code: int) -> str:
        """Explain an end without a last word: the kernel, or a fault below Python."""
        if code == -signal.SIGKILL and self._stops < 2:  # noqa: PLR2004 - the second stop is ours
            return (
                "The process was killed from outside (SIGKILL); most often the machine ran out of "
                "memory. Lower training.microBatchSize or training.maxLength, or free memory, and "
                "run the same command again."
            )
        if code < 0:
            return f"The process was ended by {signal.Signals(-code).name}."
        with self._log.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._log_start)
            tail = "".join(deque(log, maxlen=LOG_TAIL_LINES))
        return f"The process ended with code {code}. The last lines of {self._log}:\n{tail}"


def _command(run: RunFile, run_file: Path, stage: str) -> list[str]:
    arguments = ["-m", "uncensor_trainer", "--run-file", str(run_file), "--stage", stage]
    world = run.compute.world_size
    if stage in TRAINING and world > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
        return [sys.executable, *launcher, *arguments]
    return [sys.executable, *arguments]


def _environment(run: RunFile, termination: Path) -> dict[str, str]:
    environment = {
        # Threads that wait by spinning stand still for seconds when anything else runs.
        "OMP_WAIT_POLICY": "PASSIVE",
        # torchrun kills its processes 30 s after it was told to stop; a save may take longer.
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": SECONDS_TO_SAVE,
        **os.environ,
        "UNCENSOR_TERMINATION_MESSAGE": str(termination),
        "PYTHONUNBUFFERED": "1",
    }
    if run.compute.gpus_per_node == 0:
        environment["DS_ACCELERATOR"] = "cpu"
    return environment


def _die_with_parent() -> None:
    """Have the kernel send SIGTERM when we are killed, so that no training runs on unseen."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):  # not Linux: the lock still keeps a second run out
        return
