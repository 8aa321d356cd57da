"""What the spec means here: pool and run, and which stage's turn it is."""

from __future__ import annotations

from dataclasses import dataclass

from uncensor_operator.api.status import StageStatus as Stage
from uncensor_operator.api.status import Status
from uncensor_operator.api.unsupported import unsupported
from uncensor_operator.api.v1alpha1 import Spec
from uncensor_operator.errors import UncensorError
from uncensor_operator.names import Reason, StageState
from uncensor_operator.plan.course import DONE, Course, named, reset
from uncensor_operator.plan.fitting import does_not_fit, needs_sentence
from uncensor_operator.plan.naming import claim_name
from uncensor_operator.plan.pipeline import with_stages
from uncensor_operator.plan.placement import Obstacle, pool_of
from uncensor_operator.plan.podspec import WORKSPACE
from uncensor_operator.plan.runfile import on_cluster, resolve
from uncensor_operator.plan.world import World
from uncensor_operator.settings import Pool, Settings
from uncensor_trainer.runfile import RunFile, StagePlan


@dataclass(frozen=True, slots=True)
class Read:
    """What the spec means here."""

    spec: Spec
    pool: Pool
    run: RunFile


def read_spec(world: World, settings: Settings) -> Read | Obstacle:
    """Resolve the spec, or say what is wrong with it."""
    training = world.training
    if training is None:
        return Obstacle(Reason.INVALID_INPUT, world.problem)
    missing = unsupported(training)
    if missing:
        return Obstacle(Reason.NOT_SUPPORTED, "; ".join(str(one) for one in missing))
    pool = pool_of(training.spec, settings)
    if isinstance(pool, Obstacle):
        return pool
    train = named(world.status.stages, "train").micro_batch_size
    control = named(world.status.stages, "train-control").micro_batch_size
    lowered = min((one for one in (train, control) if one is not None), default=None)
    try:
        run = resolve(
            training,
            workspace=WORKSPACE,
            compute=on_cluster(training.spec.compute),
            largest_micro_batch=lowered,
        )
    except UncensorError as error:
        return Obstacle(Reason.INVALID_INPUT, str(error))
    return Read(training.spec, pool, with_stages(run, {}))


def course_of(
    world: World, settings: Settings, read: Read, status: Status, run_file: str
) -> Course:
    """Return what the stages of this pass have in common."""
    return Course(
        world=world,
        spec=read.spec,
        settings=settings,
        pool=read.pool,
        run=read.run,
        run_file=run_file,
        claim=read.spec.workspace.existing_claim or claim_name(world.name),
        needs=needs_sentence(read.run, read.pool, read.spec, status),
        does_not_fit=does_not_fit(read.run, read.pool, read.spec, status),
    )


def turn(run: RunFile, stages: tuple[Stage, ...]) -> Stage | None:
    """The first stage whose output is not there, or was made from other inputs."""
    for planned, stage in zip(run.stages, stages, strict=True):
        if stage.state not in DONE or stage.input_digest != planned.digest:
            return stage
    return None


def valid(stage: Stage, planned: StagePlan) -> Stage:
    """A stage as it is; one whose output was made from other inputs has yet to be done."""
    if stage.state in DONE and stage.input_digest != planned.digest:
        return reset(stage)
    return stage


def first_left(stages: tuple[Stage, ...]) -> Stage | None:
    """Return the first stage that is not done, for runs whose spec cannot be resolved."""
    left = [one for one in stages if one.state not in DONE]
    return left[0] if left else Stage(name="pending", state=StageState.PENDING)


def has_ended(run: RunFile, current: Stage | None) -> bool:
    """Whether nothing is left to be done or held back: all is done, or a stage was given up."""
    if current is None:
        return True
    same = run.stage(current.name).digest == current.input_digest
    return current.state is StageState.FAILED and same
