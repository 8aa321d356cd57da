"""What is still to do: each stage against what lies on the workspace."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from uncensor_operator.errors import UncensorError
from uncensor_operator.plan.pipeline import downstream
from uncensor_trainer.runfile import RunFile


class Action(StrEnum):
    """What happens to a stage."""

    RUN = "run"
    # Its output is complete and made from the same inputs.
    SKIP = "skip"
    # Not asked for this time.
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Decision:
    """One stage, what happens to it, and why."""

    stage: str
    action: Action
    why: str


def decide(
    run: RunFile,
    done: Mapping[str, str],
    *,
    only: Collection[str] = (),
    from_stage: str | None = None,
) -> tuple[Decision, ...]:
    """Return a decision for each stage, in order.

    Args:
        run: the planned run.
        done: digest that each complete output on the workspace was made from, by stage.
        only: stages to run (the rest is left alone); empty means all.
        from_stage: this stage and everything after it is done again.

    Raises:
        UncensorError: a stage that this run does not have was named.
    """
    for name in (*only, *([from_stage] if from_stage else [])):
        _refuse_unknown(run, name)
    forced = downstream(run, from_stage) if from_stage else ()
    return tuple(_decide(stage.name, stage.digest, done, only, forced) for stage in run.stages)


def _decide(
    name: str, digest: str, done: Mapping[str, str], only: Collection[str], forced: Collection[str]
) -> Decision:
    if only and name not in only:
        return Decision(name, Action.LEAVE, "not asked for (--stage)")
    if name in forced:
        return Decision(name, Action.RUN, "asked for (--from)")
    if name not in done:
        return Decision(name, Action.RUN, "not done yet")
    if done[name] != digest:
        return Decision(name, Action.RUN, "its inputs or settings changed")
    return Decision(name, Action.SKIP, "complete")


def _refuse_unknown(run: RunFile, name: str) -> None:
    names = [stage.name for stage in run.stages]
    if name not in names:
        raise UncensorError(f"This run has no stage {name!r}. Its stages: {', '.join(names)}.")
