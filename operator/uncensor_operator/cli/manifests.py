"""From the files that a command names to the one run it is about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from uncensor_operator.api.reading import read
from uncensor_operator.api.unsupported import unsupported
from uncensor_operator.api.v1alpha1 import UncensorTraining
from uncensor_operator.errors import SpecError, UncensorError, UnsupportedError
from uncensor_operator.local.observe import observe
from uncensor_operator.plan.observed import Observed
from uncensor_operator.plan.pipeline import with_stages
from uncensor_operator.plan.runfile import on_this_machine, resolve
from uncensor_trainer.runfile import RunFile

DEFAULT_WORKSPACE = Path("workspace")


def load(file: str, overrides: Sequence[str] = (), run: str | None = None) -> UncensorTraining:
    """Return the one training that a file holds, checked for what this version can do.

    Raises:
        SpecError: the file is at fault; every problem is named.
        UncensorError: it holds several trainings and none was chosen.
    """
    documents = read([file], overrides)
    problems = tuple(problem for document in documents for problem in document.problems)
    if problems:
        raise SpecError(problems)
    found = [
        (document, document.training) for document in documents if document.training is not None
    ]
    chosen = [one for one in found if run is None or one[1].metadata.name == run]
    if len(chosen) != 1:
        names = ", ".join(training.metadata.name for _, training in found) or "none"
        raise UncensorError(f"{file} has these trainings: {names}. Choose one with --run NAME.")
    document, training = chosen[0]
    missing = tuple(document.located(one) for one in unsupported(training))
    if missing:
        raise UnsupportedError(missing)
    return training


def plan_here(training: UncensorTraining, workspace: Path) -> tuple[RunFile, Observed]:
    """Return the run as this machine will run it, and what was observed for it."""
    folder = workspace.absolute()
    draft = resolve(training, workspace=folder, compute=on_this_machine(0))
    observed = observe(draft)
    if gpus := observed.machine.gpus:
        draft = resolve(training, workspace=folder, compute=on_this_machine(gpus))
    return with_stages(draft, observed.fingerprints), observed
