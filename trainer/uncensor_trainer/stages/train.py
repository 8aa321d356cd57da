"""Train: the prepared rows into a model, saved so that nothing is ever lost.

Serves both arms: `train` reads prepared/filtered and writes model/, `train-control` reads
prepared/control and writes control/model/. Beside them lie checkpoints/, metrics.jsonl and
heartbeat.json of the arm. Runs alone or, under torchrun, in several processes at once.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as torch_dist
from transformers import TrainingArguments, set_seed
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.trainer_utils import SchedulerType
from transformers.utils import logging

from uncensor_trainer import dist
from uncensor_trainer.checkpoints import Checkpoint, Checkpoints, Facts
from uncensor_trainer.collectives import from_main
from uncensor_trainer.data.batches import OrderedRows, RankBatches
from uncensor_trainer.data.order import num_steps, sample_order
from uncensor_trainer.data.store import TokenStore, num_rows
from uncensor_trainer.engine import (
    Split,
    deepspeed_config,
    prepare_deepspeed,
    split_batch,
    uses_deepspeed,
)
from uncensor_trainer.exits import InvalidInput, StopRequested
from uncensor_trainer.guards import memory_estimate, refuse_full_disk
from uncensor_trainer.loop import Loop, Surroundings
from uncensor_trainer.metrics import Schedule, TrainingLog
from uncensor_trainer.model import (
    footprint,
    load_model,
    num_parameters,
    save_adapter,
    save_full,
    save_merged,
    verify_export,
    weight_type,
)
from uncensor_trainer.progress import Json
from uncensor_trainer.run import StageContext
from uncensor_trainer.runfile import TrainingSettings
from uncensor_trainer.stages.prepare import model_folder
from uncensor_trainer.stopping import StopFlag

ARMS = {"train": "filtered", "train-control": "control"}
# These need an evaluation during training to follow.
_UNSUITED_SCHEDULES = {SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY}


def run(context: StageContext, out: Path) -> dict[str, Json]:
    """Train one arm to its end, or to where a signal asks to stop.

    Raises:
        StopRequested: a signal came; the state is saved.
        NumericFailure: a loss or gradient is not finite.
        InvalidInput, WorkspaceFailure: before the first step; nothing was changed.
    """
    with StopFlag() as stop:
        summary = _run(context, out, stop)
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()
    return summary


def _run(context: StageContext, out: Path, stop: StopFlag) -> dict[str, Json]:
    training, gpu = context.run.training, torch.cuda.is_available()
    split = split_batch(context.run, dist.world_size())
    deepspeed = uses_deepspeed(split.processes, gpu=gpu)
    _refuse_half_precision(training, gpu=gpu)

    arm = ARMS[context.stage]
    arm_dir = context.workspace.arm_dir(arm)
    prepared = context.workspace.output("prepare")
    store = TokenStore.open(prepared / arm)
    steps = num_steps(num_rows(prepared / "filtered"), split.global_batch, training.epochs)
    order = sample_order(
        store.lengths, steps=steps, global_batch=split.global_batch, seed=training.seed
    )
    step_tokens = store.lengths[order].reshape(steps, -1).sum(axis=1)
    schedule = Schedule(step_tokens, split.global_batch, len(store))

    _quiet()
    if deepspeed:
        prepare_deepspeed(gpu=gpu)
    arguments = _arguments(training, split, steps, arm_dir, gpu=gpu, deepspeed=deepspeed)
    set_seed(training.seed)  # adapters begin with random numbers, the same on every process
    dtype = weight_type(training, deepspeed=deepspeed)
    base = model_folder(context)
    model = load_model(base, training, dtype)
    parameters, trainable = num_parameters(model), num_parameters(model, trainable_only=True)

    checkpoints = Checkpoints(
        arm_dir / "checkpoints", context.digest, training.checkpoints.keep_latest
    )
    log = TrainingLog(arm_dir, schedule, context.progress)
    shape = footprint(
        model,
        processes=split.processes,
        deepspeed=deepspeed,
        micro_batch=split.micro_batch,
        longest=int(store.lengths.max()),
    )

    def before_the_first_step() -> Checkpoint | None:
        store.verify()
        resume = _resumed_from(context, checkpoints, arm_dir, log)
        disk = refuse_full_disk(checkpoints.folder, shape, training, checkpoints.bytes_used())
        context.progress.note(f"Needs {disk}; {memory_estimate(shape, training)}.")
        return resume

    resume = from_main(before_the_first_step)
    facts = _facts(training, split, deepspeed=deepspeed)
    _refuse_other_shards(resume, facts)

    loop = Loop(
        model,
        arguments,
        training.checkpoints,
        Surroundings(
            rows=OrderedRows(store, order),
            batches=RankBatches(split, steps, dist.rank()),
            global_batch=split.global_batch,
            checkpoints=checkpoints,
            facts=facts,
            log=log,
            stop=stop,
            fp16=training.precision == "fp16",
        ),
    )
    loop.train(resume_from_checkpoint=str(resume.folder) if resume else None)
    done = loop.state.global_step
    if done < steps:
        raise StopRequested(
            f"Stopped by {stop.name or 'a signal'} after step {done} of {steps}; the state is "
            "saved. The same command goes on from there."
        )
    _export(loop, training, base, out, dtype)
    from_main(lambda: verify_export(out, parameters - (0 if training.method == "full" else trainable)))
    return {**log.summary(), "parameters": parameters} if dist.is_main() else {}
