"""What the stages of a pass have in common, and what each of their passes comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.api.status import Status
from uncensor_operator.api.v1alpha1 import Spec
from uncensor_operator.names import Reason, StageState
from uncensor_operator.plan.outcome import Event, Step
from uncensor_operator.plan.placement import Obstacle
from uncensor_operator.plan.words import cut
from uncensor_operator.plan.world import World
from uncensor_operator.settings import Pool, Settings
from uncensor_trainer.runfile import RunFile, StagePlan

DONE = frozenset({StageState.SUCCEEDED, StageState.SKIPPED})


@dataclass(frozen=True, slots=True)
class Course:
    """What all stages of a pass have in common.

    Attributes:
        run: the resolved run, with the digest of each stage.
        run_file: name of the ConfigMap with the run file of the next attempt.
        needs: sentence about the memory that a training needs; empty while unknown.
        does_not_fit: why no training may start; None when it may.
    """

    world: World
    spec: Spec
    settings: Settings
    pool: Pool
    run: RunFile
    run_file: str
    claim: str
    needs: str = ""
    does_not_fit: Obstacle | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """What a stage's pass comes to.

    Attributes:
        stage: its status afterwards.
        status: the run's status, with what the stage found.
        waits: what the run waits for, as a sentence; empty when it works.
        obstacle: why it cannot go on as things are.
    """

    stage: Stage
    status: Status
    steps: tuple[Step, ...] = ()
    events: tuple[Event, ...] = ()
    waits: str = ""
    obstacle: Obstacle | None = None
    again_in: float | None = None


def named(stages: Sequence[Stage], name: str) -> Stage:
    """Return the status of a stage, a new one when it has none."""
    found = next((one for one in stages if one.name == name), None)
    return found or Stage(name=name, state=StageState.PENDING)


def reset(stage: Stage) -> Stage:
    """Return a failed stage as a person's request for a retry leaves it."""
    return stage.model_copy(
        update={
            "state": StageState.PENDING,
            "failures": 0,
            "interruptions": 0,
            "fruitless": 0,
            "retry_at": None,
            "finished_at": None,
            "reason": None,
            "message": None,
        }
    )


def is_done(stage: Stage, planned: StagePlan) -> bool:
    """Tell whether a stage's output is there, and made from the inputs that are wanted."""
    return stage.state in DONE and stage.input_digest == planned.digest


def told(kind: Literal["Normal", "Warning"], reason: Reason, message: str) -> Event:
    """Return an event whose message fits."""
    return Event(kind, reason, cut(message, 1000))
