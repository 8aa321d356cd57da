"""Our train stage as it runs in a pipeline, on the same tokens.

What happens once a training is not timed: the trial of the fullest pass (off, so that every peer
begins cold), saving and export.
"""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

from common import LEARNING_RATE, SEED, Clock, Job, job, tell

from uncensor_trainer.data.store import write_store
from uncensor_trainer.data.tokenise import Encoded
from uncensor_trainer.metrics import TrainingLog
from uncensor_trainer.progress import Progress
from uncensor_trainer.run import StageContext
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.stages import train
from uncensor_trainer.workspace import Workspace, read_lines

CLASSES = ("refusal", "partial", "moralise", "capability", "disclaimer", "placeholder", "identity")


def run_file(one: Job, workspace: Path) -> RunFile:
    values: dict[str, Any] = {
        "run": "benchmark",
        "workspace": str(workspace),
        "stages": [{"name": "train", "digest": "benchmark"}],
        "model": {"kind": "path", "path": one.model},
        "datasets": [{"name": "rows", "source": {"kind": "path", "path": "rows"}}],
        "filter": {"actions": dict.fromkeys(CLASSES, "keep")},
        "training": {
            "epochs": 1.0,
            "max_length": one.max_length,
            "micro_batch_size": one.micro_batch,
            "gradient_accumulation_steps": one.accumulation,
            "learning_rate": LEARNING_RATE,
            "precision": "fp32",
            "gradient_checkpointing": one.checkpointing,
            "packing": one.setting,
            "seed": SEED,
            "checkpoints": {"every_steps": 10**6, "every_minutes": 0, "keep_latest": 1},
        },
    }
    return RunFile.model_validate_json(json.dumps(values))


def lay_out(one: Job, workspace: Workspace) -> None:
    """Write what fetch and prepare would leave."""
    for stage, made in (("fetch", _sources), ("prepare", _store)):
        partial = workspace.begin(stage, "benchmark")
        made(one, partial)
        workspace.commit(stage, partial, {"stage": stage, "digest": "benchmark"})


def _sources(one: Job, folder: Path) -> None:
    (folder / "sources.json").write_text(json.dumps({"model": {"folder": one.model}}))


def _store(one: Job, folder: Path) -> None:
    rows = enumerate(one.rows)
    encoded = (("rows", index, Encoded(row["input_ids"], row["labels"])) for index, row in rows)
    write_store(folder / "filtered", encoded)


class Lines(io.StringIO):
    """Progress lines; every finished step stops the clock, and the last one counts."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def write(self, text: str) -> int:
        if '"progress"' in text:
            self._clock.stop()
        return super().write(text)


def main() -> None:
    one, clock = job(), Clock()
    restart = TrainingLog.restart_clock
    started = []

    def first_step_begins(log: TrainingLog) -> None:
        if not started:
            started.append(True)
            clock.start()
        restart(log)

    TrainingLog.restart_clock = first_step_begins  # type: ignore[method-assign]
    train.is_due = lambda *_, **__: False  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        run = run_file(one, Path(folder))
        workspace = Workspace(Path(folder), run.run)
        lay_out(one, workspace)
        ticks = iter(range(0, 10**9, 10))
        progress = Progress("train", stream=Lines(clock), clock=lambda: float(next(ticks)))
        out = workspace.begin("train", "benchmark")
        train.run(StageContext(run, "train", workspace, progress), out)
        rows = read_lines(workspace.arm_dir("filtered") / "metrics.jsonl")
    tell(one, clock, [float(row["loss"]) for row in rows])  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
