"""Where things lie on the workspace, and how an output folder becomes visible all at once.

Layout below the workspace (shared by all runs, then one folder a run):

    models/<digest>/  datasets/<digest>/            fetched once, shared
    runs/<run>/fetch|filter|prepared|probe|evaluation|report/
    runs/<run>/model/  checkpoints/  metrics.jsonl   of the filtered arm
    runs/<run>/control/model|checkpoints|metrics.jsonl
    runs/<run>/archive/                              outputs that a change of settings made stale

A stage writes into a folder beside its output, then `stage.json` is added and the folder renamed:
an output is complete or absent, never half. `stage.json` holds the digest of the stage's inputs;
the same digest means that the work is done.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from uncensor_trainer.progress import Json

RECORD = "stage.json"

_OUTPUTS = {
    "fetch": "fetch",
    "filter": "filter",
    "prepare": "prepared",
    "train": "model",
    "train-control": "control/model",
    "probe": "probe",
    "evaluate": "evaluation",
    "report": "report",
}


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of one run."""

    root: Path
    run: str

    @property
    def run_dir(self) -> Path:
        """Everything that belongs to this run alone."""
        return self.root / "runs" / self.run

    @property
    def events(self) -> Path:
        """JSON lines: what happened to this run, appended by whoever runs the stages."""
        return self.run_dir / "events.jsonl"

    def output(self, stage: str) -> Path:
        """Return the output folder of a stage."""
        return self.run_dir / _OUTPUTS[stage]

    def arm_dir(self, arm: str) -> Path:
        """Return the folder with `model/`, `checkpoints/` and `metrics.jsonl` of an arm."""
        return self.run_dir if arm == "filtered" else self.run_dir / arm

    def record(self, stage: str) -> dict[str, Json] | None:
        """Return `stage.json` of a complete output, or None."""
        return read_json(self.output(stage) / RECORD)

    def is_complete(self, stage: str, digest: str) -> bool:
        """Tell whether the stage's output is there and made from the same inputs."""
        record = self.record(stage)
        return record is not None and record.get("digest") == digest

    def begin(self, stage: str, digest: str) -> Path:
        """Return an empty folder beside the output, for the stage to write into."""
        output = self.output(stage)
        partial = output.with_name(f".{output.name}.partial-{digest[:12]}")
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        return partial

    def commit(self, stage: str, partial: Path, record: dict[str, Json]) -> Path:
        """Make the written folder the output of the stage, in one rename."""
        output = self.output(stage)
        write_json(partial / RECORD, record)
        sync_tree(partial)
        self.archive(output)
        partial.rename(output)
        sync_folder(output.parent)
        return output

    def archive(self, path: Path) -> None:
        """Move a stale file or folder aside; nothing that took time is deleted."""
        if not path.exists():
            return
        base = self.run_dir / "archive"
        base.mkdir(parents=True, exist_ok=True)
        name = "-".join(path.relative_to(self.run_dir).parts)
        number = 1
        while (base / f"{name}.{number}").exists():
            number += 1
        path.rename(base / f"{name}.{number}")


def read_json(path: Path) -> dict[str, Json] | None:
    """Return a JSON object from a file; None when it is absent or not whole."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def append_line(path: Path, value: dict[str, Json]) -> None:
    """Append one JSON line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value, ensure_ascii=False) + "\n")


def read_lines(path: Path) -> list[dict[str, Json]]:
    """Return the objects of a JSON-lines file; a torn last line is left out."""
    if not path.exists():
        return []
    rows: list[dict[str, Json]] = []
    # Not splitlines: answers may hold U+2028, which ends a line for Python but not for JSON lines.
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
    return rows


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below to the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        elif path.is_dir():
            sync_folder(path)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
