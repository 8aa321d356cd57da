"""Train: the prepared rows into a model, saved so that nothing is ever lost.

Serves both arms: `train` reads prepared/filtered and writes model/, `train-control` reads
prepared/control and writes control/model/. Beside them lie checkpoints/, metrics.jsonl and
heartbeat.json of the arm. Runs alone or, under torchrun, in several processes at once.
"""

from __future__ import annotations

import importlib.metadata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as torch_dist
from transformers import set_seed

from uncensor_trainer import dist, fusion
from uncensor_trainer.attention import Attention, choose_attention
from uncensor_trainer.card import Made, write_card
from uncensor_trainer.checkpoints import Checkpoint, Checkpoints, Facts
from uncensor_trainer.collectives import any_rank, from_main
from uncensor_trainer.data.batches import OrderedRows, RankBatches
from uncensor_trainer.data.layout import (
    TOKENS_A_PASS_COSTS,
    TOKENS_A_PASS_COSTS_ON_GPU,
    Layout,
    fewest_micro_batches,
)
from uncensor_trainer.data.order import num_steps, sample_order
from uncensor_trainer.data.store import TokenStore, num_rows
from uncensor_trainer.efficiency import device_peak
from uncensor_trainer.engine import (
    Engine,
    Split,
    choose_engine,
    prepare_process,
    split_batch,
)
from uncensor_trainer.exits import InvalidInput, StopRequested
from uncensor_trainer.export import export_model
from uncensor_trainer.guards import free_memory, refuse_full_disk
from uncensor_trainer.loop import Loop, Surroundings, training_arguments
from uncensor_trainer.memory import MemoryEstimate, memory_of, needs_deepspeed, shown
from uncensor_trainer.metrics import METRICS, Schedule, TrainingLog
from uncensor_trainer.model import (
    footprint,
    load_config,
    load_model,
    load_of,
    narrow_stream,
    work_of,
)
from uncensor_trainer.progress import Json, Phase
from uncensor_trainer.run import StageContext
from uncensor_trainer.sinks import Sinks, Told
from uncensor_trainer.stages.prepare import model_folder
from uncensor_trainer.stopping import StopFlag
from uncensor_trainer.trial import fullest, is_due
from uncensor_trainer.workspace import read_json
from uncensor_trainer.writer import Writer

ARMS = {"train": "filtered", "train-control": "control"}
STATE_VERSION = 2  # of what lies in a checkpoint
RECORDED_PACKAGES = ("torch", "transformers", "deepspeed", "accelerate", "peft")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided before a weight is read.

    Attributes:
        engine: who runs a step, and how its rows are divided.
        attention: which kernel, and whether rows are packed for it.
        layout: how rows go through the model.
        arm_dir: where checkpoints and metrics of the arm lie.
        store: the arm's rows.
        order: row numbers of the whole run, int64 [steps * global batch].
        schedule: steps, and the tokens of each.
        fullest: (step, micro-batch) with the most tokens, counted from 0.
    """

    engine: Engine
    attention: Attention
    layout: Layout
    arm_dir: Path
    store: TokenStore
    order: npt.NDArray[np.int64]
    schedule: Schedule
    fullest: tuple[int, int]


def run(context: StageContext, out: Path) -> dict[str, Json]:
    """Train one arm to its end, or to where a signal asks to stop.

    Raises:
        StopRequested: a signal came; the state is saved.
        NumericFailure: a loss or gradient is not finite.
        InvalidInput, WorkspaceFailure: found before the first step.
    """
    with StopFlag() as stop:
        plan = _planned(context)
        with _sinks(context, plan) as sinks:
            summary = _trained(context, plan, stop, sinks, out)
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()
    return summary if dist.is_main() else {}


def _trained(
    context: StageContext, plan: Plan, stop: StopFlag, sinks: Sinks, out: Path
) -> dict[str, Json]:
    """Train and export; return the summary."""
    context.progress.enter(Phase.LOADING)
    prepare_process(plan.engine, context.workspace.run_dir / "stacks")
    arguments = training_arguments(
        context.run.training, plan.engine, plan.schedule.steps, plan.arm_dir
    )
    set_seed(context.run.training.seed)  # adapters begin random, alike on every process
    writer = Writer(plan.arm_dir)
    checkpoints = Checkpoints(
        plan.arm_dir / "checkpoints",
        context.digest,
        context.run.training.checkpoints.keep_latest,
        writer.check,
    )
    with ThreadPoolExecutor(1) as aside:
        # Hashing leaves Python's lock, so the bytes of the state are checked while weights load.
        start = aside.submit(_start, context, plan, checkpoints, writer) if dist.is_main() else None
        model = _loaded(context, plan)
        resume = from_main(lambda: start.result() if start else None)

    plan = replace(plan, schedule=_with_flops(plan, model))
    log = TrainingLog(plan.arm_dir, plan.schedule, context.progress, sinks=sinks)
    memory = _memory(context, plan, model)
    from_main(lambda: _refuse_what_does_not_fit(context, plan, model, memory, checkpoints))
    if dist.is_main():
        log.begin(resume.step if resume else 0)
    surroundings = _surroundings(context, plan, checkpoints, log, stop)
    loop = Loop(model, arguments, replace(surroundings, trial=_trial(plan, memory)))
    try:
        loop.train(resume_from_checkpoint=str(resume.folder) if resume else None)
        loop.finish_saves()
    finally:
        loop.settle()
    _refuse_early_end(loop.state.global_step, plan.schedule.steps, stop)

    context.progress.enter(Phase.EXPORTING)
    if plan.engine.gpu and plan.engine.deepspeed is None:
        # What plain torch trained in float32 gets the type that DeepSpeed would have left.
        loop.model.to(plan.engine.compute_type)
    parameters = export_model(loop, context.run.training, model_folder(context), out)
    from_main(writer.check)
    summary: dict[str, Json] = {
        **log.summary(),
        "memoryEstimateBytes": memory.total,
        "parameters": parameters,
    }
    if dist.is_main():
        write_card(out, _made(context, summary))
    return summary


def _sinks(context: StageContext, plan: Plan) -> Sinks:
    run = context.run
    told = Told(
        run=run.run,
        arm=ARMS[context.stage],
        digest=context.digest,
        folder=plan.arm_dir,
        settings=run.training.model_dump(mode="json"),
    )
    return Sinks(run.reporting, told, context.progress)


def _loaded(context: StageContext, plan: Plan) -> Any:
    """Return the model, with everything around it that makes it quick on this machine."""
    training, engine = context.run.training, plan.engine
    model = load_model(model_folder(context), training, engine.weight_type, plan.attention.kernel)
    if engine.gpu and engine.deepspeed is None:
        narrow_stream(model, engine.compute_type)
    fusion.fuse(model, training, gpu=engine.gpu)
    return model


def _made(context: StageContext, summary: dict[str, Json]) -> Made:
    workspace = context.workspace
    return Made(
        run=context.run,
        arm=ARMS[context.stage],
        sources=read_json(workspace.output("fetch") / "sources.json") or {},
        filter=read_json(workspace.output("filter") / "report.json") or {},
        summary=summary,
        versions={name: importlib.metadata.version(name) for name in RECORDED_PACKAGES},
    )


def _planned(context: StageContext) -> Plan:
    """Decide steps and order; the control arm trains as many steps as the filtered one."""
    training, arm = context.run.training, ARMS[context.stage]
    split = split_batch(context.run, dist.world_size())
    prepared = context.workspace.output("prepare")
    store = TokenStore.open(prepared / arm)
    steps = num_steps(num_rows(prepared / "filtered"), split.global_batch, training.epochs)
    order = sample_order(
        store.lengths, steps=steps, global_batch=split.global_batch, seed=training.seed
    )
    step_lengths = store.lengths[order].reshape(steps, -1)
    gpu = torch.cuda.is_available()
    config = load_config(model_folder(context))
    attention = choose_attention(training, config, gpu=gpu)
    sharded = needs_deepspeed(training, split.processes, gpu=gpu)
    layout, split = _laid_out(attention, split, step_lengths, sharded=sharded, gpu=gpu)
    engine = choose_engine(training, split, gpu=gpu)
    fusion.refuse_unfit(training, engine, config.model_type)
    return Plan(
        engine=engine,
        attention=attention,
        layout=layout,
        arm_dir=context.workspace.arm_dir(arm),
        store=store,
        order=order,
        schedule=Schedule(step_lengths.sum(axis=1), split.global_batch, len(store)),
        fullest=fullest(layout, split, step_lengths),
    )


def _with_flops(plan: Plan, model: Any) -> Schedule:
    """Return the schedule with what MFU is computed from; without a known device, as it is."""
    peak = device_peak()
    if peak is None:
        return plan.schedule
    work = work_of(model)
    lengths = plan.store.lengths[plan.order].reshape(plan.schedule.steps, -1)
    flops = np.array([work.flops(step) for step in lengths])
    peaks = peak * plan.engine.split.processes
    return replace(plan.schedule, step_flops=flops, peak_flops=peaks)


def _laid_out(
    attention: Attention,
    split: Split,
    step_lengths: npt.NDArray[np.int64],
    *,
    sharded: bool,
    gpu: bool,
) -> tuple[Layout, Split]:
    """Return the layout, and the split whose micro-batches fill what memory was meant for."""
    budget = split.micro_batch * int(step_lengths.max())
    if attention.packed:
        split = fewest_micro_batches(split, step_lengths, budget)
    elif not sharded:
        split = Split(split.global_batch, 1, 1)  # one micro-batch, cut into groups by length
    layout = Layout(
        attention.packed,
        budget,
        regroups=not (attention.packed or sharded),
        tells_borders=attention.told_borders,
        pass_cost=TOKENS_A_PASS_COSTS_ON_GPU if gpu else TOKENS_A_PASS_COSTS,
    )
    return layout, split


def _start(
    context: StageContext, plan: Plan, checkpoints: Checkpoints, writer: Writer
) -> Checkpoint | None:
    """Claim the folder, check the data, and return the checkpoint to go on from."""
    writer.claim()
    plan.store.verify()
    checkpoints.folder.mkdir(parents=True, exist_ok=True)
    checkpoints.clean()
    if checkpoints.archive_foreign(context.workspace):
        context.workspace.archive(plan.arm_dir / METRICS)
        context.progress.note("The settings changed: earlier checkpoints went to archive/.")
    resume, notes = checkpoints.newest_verified()
    for note in notes:
        context.progress.note(note)
    if resume is not None:
        _refuse_foreign_state(resume, plan)
        context.progress.note(f"Going on from the checkpoint of step {resume.step}.")
        if resume.facts.get("engine") != plan.engine.kind:
            context.progress.note(
                f"It was saved by {resume.facts.get('engine')}; {plan.engine.kind} go on with it, "
                "with the same rows in each step."
            )
    return resume


def _refuse_what_does_not_fit(
    context: StageContext, plan: Plan, model: Any, memory: MemoryEstimate, checkpoints: Checkpoints
) -> None:
    """Say what this training needs of disk and memory; too small a disk is an error."""
    training = context.run.training
    context.progress.note(plan.attention.sentence)
    if switches := fusion.note(training, gpu=plan.engine.gpu):
        context.progress.note(switches)
    shape = footprint(model, plan.engine, longest=int(plan.store.lengths.max()))
    disk = refuse_full_disk(checkpoints.folder, shape, training, checkpoints.bytes_used())
    free = shown(free_memory())
    context.progress.note(f"Needs {disk}; {memory.sentence}; {free} of main memory free.")


def _memory(context: StageContext, plan: Plan, model: Any) -> MemoryEstimate:
    training = context.run.training
    load = load_of(model, plan.engine, tokens=plan.layout.budget)
    # On a GPU the copy for saves behind lies in main memory, not where the training runs.
    copies = training.checkpoints.asynchronous and not plan.engine.gpu
    return memory_of(replace(load, snapshot=copies), training)


def _trial(plan: Plan, memory: MemoryEstimate) -> tuple[int, int] | None:
    """Decide on one process for all whether the fullest pass is tried before the first step."""
    due = any_rank(is_due(memory.total, free_memory(), gpu=plan.engine.gpu), False)[0]
    return plan.fullest if due else None


def _refuse_foreign_state(resume: Checkpoint, plan: Plan) -> None:
    """Any processes and any ZeRO stage can go on, but only at the same place in the same rows."""
    if resume.facts.get("stateVersion") != STATE_VERSION:
        raise InvalidInput(
            f"The newest checkpoint (step {resume.step}) was written by another version of the "
            "trainer, in a form that this one cannot read. Use that version, or move the folder "
            "checkpoints away to train from the beginning."
        )
    found, wanted = resume.facts.get("globalBatch"), plan.schedule.global_batch
    if found != wanted:
        raise InvalidInput(
            f"The newest checkpoint (step {resume.step}) was trained with a global batch of "
            f"{found} rows, this attempt has {wanted}; rows would be skipped or read twice. Set "
            f"training.globalBatchSize to {found}, or move the folder checkpoints away to train "
            "from the beginning."
        )


def _surroundings(
    context: StageContext, plan: Plan, checkpoints: Checkpoints, log: TrainingLog, stop: StopFlag
) -> Surroundings:
    facts: Facts = {
        "stateVersion": STATE_VERSION,
        "engine": plan.engine.kind,
        "worldSize": plan.engine.split.processes,
        "globalBatch": plan.schedule.global_batch,
        "steps": plan.schedule.steps,
        "seed": context.run.training.seed,
        "versions": {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES},
    }
    return Surroundings(
        rows=OrderedRows(plan.store, plan.order),
        batches=RankBatches(
            plan.engine.split, plan.schedule.steps, dist.rank(), mixed=plan.attention.packed
        ),
        layout=plan.layout,
        schedule=plan.schedule,
        checkpoints=checkpoints,
        cadence=context.run.training.checkpoints,
        facts=facts,
        log=log,
        progress=context.progress,
        stop=stop,
        fp16=context.run.training.precision == "fp16",
    )


def _refuse_early_end(step: int, steps: int, stop: StopFlag) -> None:
    """Only a signal, here or at another process, ends the loop before its last step."""
    if step < steps:
        raise StopRequested(
            f"Stopped by {stop.name or 'a signal to another process'} after step {step} of "
            f"{steps}; the state is saved. The same command goes on from there.",
            checkpointStep=step,
        )
