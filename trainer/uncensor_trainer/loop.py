"""The training loop: transformers' Trainer, with our data, our saves and our guards in it.

Every process takes every decision at the same step boundary: when to save, when to stop, and
that a number is broken. A boundary lies after the optimizer step and the scheduler, so what is
saved at step n is exactly what step n + 1 begins with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import SchedulerType
from transformers.utils import is_torch_tf32_available

from uncensor_trainer import dist
from uncensor_trainer.checkpoints import Checkpoints, Facts
from uncensor_trainer.collectives import any_rank
from uncensor_trainer.communication import CommunicationClock, counted
from uncensor_trainer.data.batches import OrderedRows, RankBatches, flat
from uncensor_trainer.data.layout import Layout
from uncensor_trainer.durable import DurableTrainer
from uncensor_trainer.efficiency import StepTimes
from uncensor_trainer.engine import Engine
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.loss_watch import LossWatch
from uncensor_trainer.losses import LossHead
from uncensor_trainer.metrics import Schedule, TrainingLog
from uncensor_trainer.progress import Progress
from uncensor_trainer.runfile import CheckpointSettings, TrainingSettings
from uncensor_trainer.stopping import StopFlag
from uncensor_trainer.trial import Stopwatch, Trial

# These follow an evaluation during training, which there is none of.
_UNSUITED_SCHEDULES = {SchedulerType.REDUCE_ON_PLATEAU, SchedulerType.GREEDY}


def training_arguments(
    training: TrainingSettings, engine: Engine, steps: int, arm_dir: Path
) -> TrainingArguments:
    """Return the Trainer's settings; everything it would do on its own initiative is off.

    Made before the model is loaded: with ZeRO-3 it announces that weights are sharded on loading.

    Raises:
        InvalidInput: the learning rate schedule is not known.
    """
    schedules = sorted(kind.value for kind in set(SchedulerType) - _UNSUITED_SCHEDULES)
    if training.schedule not in schedules:
        raise InvalidInput(
            f"training.schedule {training.schedule!r} is not known; choose one of: "
            f"{', '.join(schedules)}."
        )
    arguments = TrainingArguments(
        output_dir=str(arm_dir / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=engine.split.micro_batch,
        gradient_accumulation_steps=engine.split.accumulation,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=training.warmup_steps,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        bf16=engine.computes == "bf16",
        fp16=engine.computes == "fp16",
        tf32=True if is_torch_tf32_available() else None,  # fp32 products on a GPU's tensor cores
        activation_checkpointing=training.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        seed=training.seed,
        optim="adamw_torch_fused",  # needs no compiler, and no copies of a gradient
        deepspeed=engine.deepspeed,
        use_cpu=not engine.gpu,
        ddp_backend="gloo" if engine.deepspeed and not engine.gpu else None,
        dataloader_pin_memory=engine.gpu,
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would show a broken loss as 0.0
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        log_level_replica="error",
    )
    # A lone process uses one GPU; the Trainer would spread its rows over all that it sees.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the loop works with besides model and settings.

    Attributes:
        rows: rows of the whole run in their order.
        batches: this process's micro-batches, as positions in that order.
        layout: how the rows of a micro-batch go through the model.
        schedule: steps of the run, and the tokens of each.
        checkpoints: where state is committed.
        cadence: when.
        facts: what every manifest says about this run.
        log: metrics and progress.
        progress: notes and events.
        stop: whether this process was asked to stop.
        fp16: whether a step may be skipped because scaled gradients overflow.
        trial: (step, micro-batch), counted from 0, to try before the first step; None tries none.
        clock: seconds, for saves every so many minutes.
    """

    rows: OrderedRows
    batches: RankBatches
    layout: Layout
    schedule: Schedule
    checkpoints: Checkpoints
    cadence: CheckpointSettings
    facts: Facts
    log: TrainingLog
    progress: Progress
    stop: StopFlag
    fp16: bool
    trial: tuple[int, int] | None = None
    clock: Callable[[], float] = time.monotonic


class Loop(DurableTrainer):
    """The Trainer of one arm."""

    # The loss is divided by the tokens of the whole global batch, not once more by accumulation.
    loss_is_scaled_for_ga = True

    def __init__(self, model: Any, args: TrainingArguments, surroundings: Surroundings) -> None:
        self._with = surroundings
        self._losses = LossHead(model)
        self._untried = surroundings.trial
        self._times = StepTimes()
        super().__init__(
            model=model,
            args=args,
            train_dataset=surroundings.rows,
            callbacks=[
                Boundary(surroundings),
                OptimizerTimer(self._times),
                *([CommunicationTimer(self._times)] if args.deepspeed else []),
            ],
            checkpoints=surroundings.checkpoints,
            progress=surroundings.progress,
            watch=LossWatch(fp16=surroundings.fp16),
            asynchronous=surroundings.cadence.asynchronous,
        )
        self.remove_callback(PrinterCallback)  # it prints to stdout, which is for JSON lines
        # Count the tokens of a global batch, whatever the signature of the model's forward.
        self.model_accepts_loss_kwargs = self._loss_shifts_labels = True

    def get_train_dataloader(self) -> torch.utils.data.DataLoader[Any]:
        """Return this process's micro-batches; the order is ours, so nothing is sharded again."""
        return torch.utils.data.DataLoader(
            self._with.rows,
            batch_sampler=self._with.batches,
            collate_fn=flat,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def training_step(
        self, model: Any, inputs: dict[str, torch.Tensor], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Return the loss of a micro-batch, whose gradient is added to the step's."""
        if self._untried is not None:
            trial, self._untried = self._untried, None
            self._with.progress.note(self._try(model, trial).sentence)
            self._with.log.restart_clock()
        with self._times.part("compute"):
            losses = [
                super(Loop, self).training_step(model, one, num_items_in_batch)
                for one in self._with.layout.passes(inputs)
            ]
            return torch.stack(losses).sum()

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """Return the micro-batches of the next step, and count how long they took to come."""
        with self._times.part("data"):
            return super().get_batch_samples(*args, **kwargs)

    def _try(self, model: Any, place: tuple[int, int]) -> Trial:
        """Run the fullest pass forward and backward, with a loss that counts nothing."""
        positions = self._with.batches.positions(*place)
        rows = flat([self._with.rows[position] for position in positions])
        widest = max(self._with.layout.passes(rows), key=lambda one: one["input_ids"].numel())
        watch, gradients = Stopwatch(), self.accelerator.gradient_state
        syncs = gradients.sync_gradients
        gradients._set_sync_gradients(False)
        with torch.random.fork_rng():
            super().training_step(model, widest, float("inf"))
        gradients._set_sync_gradients(syncs)
        return watch.trial(widest["input_ids"].numel())

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        """Return this micro-batch's part of the mean loss over the tokens of the global batch.

        Gradients are averaged over the processes afterwards, so the part counts that many times.
        """
        part: torch.Tensor = self._losses.summed(model, inputs) / num_items_in_batch
        part *= self.accelerator.num_processes
        return part

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Record a step; called on every process with the same numbers, before any save.

        Raises:
            NumericFailure: the training is broken, and going back did not help.
        """
        if "loss" not in logs:
            return
        parts = self._times.taken()
        step, loss, grad_norm = self.state.global_step, logs["loss"], logs["grad_norm"]
        if self.judge(step, loss, grad_norm) and dist.is_main():
            self._with.log.step(
                step,
                loss=loss,
                learning_rate=logs["learning_rate"],
                grad_norm=grad_norm,
                parts=parts,
            )

    def _origins(self, step: int) -> list[tuple[str, int]]:
        batch = self._with.schedule.global_batch
        return self._with.rows.origins(range((step - 1) * batch, step * batch))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save, and leave the time that it took out of the speed."""
        super()._save_checkpoint(model, trial)
        self._with.log.restart_clock()

    def _facts(self, step: int) -> Facts:
        return {
            **self._with.facts,
            **super()._facts(step),
            "epoch": self._with.schedule.epoch(step),
            "dataPosition": step * self._with.schedule.global_batch,
        }


class OptimizerTimer(TrainerCallback):  # type: ignore[misc]  # as above
    """Counts the seconds of the optimizer, where it is not a part of the backward pass."""

    def __init__(self, times: StepTimes) -> None:
        self._times = times
        self._began = 0.0

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Clipping is over."""
        self._began = time.perf_counter()

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        """The weights are new."""
        self._times.add("optimizer", time.perf_counter() - self._began)


class CommunicationTimer(TrainerCallback):  # type: ignore[misc]  # as above
    """Counts the seconds in which DeepSpeed waits for other processes."""

    def __init__(self, times: StepTimes) -> None:
        self._times = times
        self._clock = CommunicationClock(gpu=torch.cuda.is_available())
        self._counting = ExitStack()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """The engine is there, and its processes are joined."""
        self._counting.enter_context(counted(self._clock))

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """A step is over, with all that it sent."""
        self._times.add("communication", self._clock.seconds())

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """What follows is no step's."""
        self._counting.close()


class Boundary(TrainerCallback):  # type: ignore[misc]  # as above
    """Decides at every step boundary, with all processes, whether to save and whether to end."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._with = surroundings
        self._saved_at = self._with.clock()

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Start the clocks: loading and sharding are over."""
        self._with.log.restart_clock()
        self._saved_at = self._with.clock()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Ask all processes; any signal stops all, and the main process's clock counts."""
        stop, due = any_rank(self._with.stop.is_set, dist.is_main() and self._minutes_are_over())
        control.should_training_stop |= stop
        control.should_save = (
            stop or due or self._is_turn(state.global_step) or state.global_step == state.max_steps
        )

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Count the minutes from here."""
        self._saved_at = self._with.clock()

    def _is_turn(self, step: int) -> bool:
        every = self._with.cadence.every_steps
        return every > 0 and step % every == 0

    def _minutes_are_over(self) -> bool:
        seconds = 60 * self._with.cadence.every_minutes
        return seconds > 0 and self._with.clock() - self._saved_at >= seconds
