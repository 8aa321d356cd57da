"""What earlier stages left for asking models: where each arm lies, and the lists to ask it with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from uncensor_trainer.data.inputs import CLEAN_ANSWERS, PROBE, REFUSAL_PROMPTS, bundled
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json, Progress
from uncensor_trainer.run import StageContext
from uncensor_trainer.runfile import Arm, RunFile, Source
from uncensor_trainer.workspace import read_json

ListName = Literal["probe", "prompts", "answers"]

STAGE_OF_ARM: dict[Arm, str] = {
    "filtered": "train",
    "control": "train-control",
    "baseline": "fetch",
}
BUNDLED: dict[ListName, str] = {
    "probe": PROBE,
    "prompts": REFUSAL_PROMPTS,
    "answers": CLEAN_ANSWERS,
}


@dataclass(slots=True)
class Steps:
    """Counts what is done of a stage that visits every arm, and reports it."""

    progress: Progress
    total: int
    arm: Arm = "filtered"
    done: int = 0

    def advance(self, count: int) -> None:
        """Report `count` more units; with 0 it says that the stage is alive."""
        self.done += count
        self.progress.update(self.done, self.total, arm=self.arm)


def arm_folders(context: StageContext) -> dict[Arm, Path]:
    """Return the model folder of every arm of the run, the filtered one first.

    Raises:
        InvalidInput: a stage left no model; the message names it.
    """
    return {arm: _arm_folder(context, arm) for arm in context.run.arms}


def given_source(run: RunFile, name: ListName) -> Source | None:
    """Return where the run file takes a list from; None means the bundled one."""
    return {
        "probe": run.probe.input,
        "prompts": run.evaluation.refusal.prompts,
        "answers": run.evaluation.perplexity_answers,
    }[name]


def list_files(context: StageContext, name: ListName) -> Sequence[Traversable]:
    """Return the files of a list: those that fetch brought, or the bundled one.

    Raises:
        InvalidInput: fetch left none, although the run file names a source.
    """
    if given_source(context.run, name) is None:
        return [bundled(BUNDLED[name])]
    entry = _sources(context).get(name)
    if not isinstance(entry, dict) or not isinstance(entry.get("files"), list):
        raise InvalidInput(f"fetch left no files of {name!r}; run it again (--from fetch).")
    return [context.workspace.root / str(file) for file in entry["files"]]  # type: ignore[union-attr]


def _arm_folder(context: StageContext, arm: Arm) -> Path:
    stage = STAGE_OF_ARM[arm]
    if arm == "baseline":
        entry = _sources(context).get("baseline")
        folder = str(entry["folder"]) if isinstance(entry, dict) else "baseline"
        path = context.workspace.root / folder
    else:
        path = context.workspace.output(stage)
    if not (path / "config.json").is_file():
        raise InvalidInput(
            f"There is no model of the arm {arm!r} in {path}. Run the stage {stage} first "
            f"(--from {stage})."
        )
    return path


def _sources(context: StageContext) -> dict[str, Json]:
    return read_json(context.workspace.output("fetch") / "sources.json") or {}
