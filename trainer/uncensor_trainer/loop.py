"""The training loop: transformers' Trainer, with our data, our saves and our guards in it.

Every process takes every decision at the same step boundary: when to save, when to stop, and
that a number is broken. A boundary lies after the optimizer step and the scheduler, so what is
saved at step n is exactly what step n + 1 begins with.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from uncensor_trainer import dist
from uncensor_trainer.checkpoints import Checkpoints, Facts
from uncensor_trainer.collectives import any_rank, barrier, from_main
from uncensor_trainer.data.batches import OrderedRows, RankBatches, padded
from uncensor_trainer.guards import FiniteGuard, numeric_failure
from uncensor_trainer.metrics import TrainingLog
from uncensor_trainer.runfile import CheckpointSettings
from uncensor_trainer.stopping import StopFlag

TRAINER_STATE = "trainer_state.json"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the loop works with besides model and settings.

    Attributes:
        rows: rows of the whole run in their order.
        batches: this process's micro-batches, as positions in that order.
        global_batch: rows of an optimizer step.
        checkpoints: where state is committed.
        facts: what every manifest says about this run.
        log: metrics, heartbeat and progress.
        stop: whether this process was asked to stop.
        fp16: whether a step may be skipped because scaled gradients overflow.
    """

    rows: OrderedRows
    batches: RankBatches
    global_batch: int
    checkpoints: Checkpoints
    facts: Facts
    log: TrainingLog
    stop: StopFlag
    fp16: bool


class Loop(Trainer):  # type: ignore[misc]  # transformers ships no types that mypy can use
    """The Trainer of one arm."""

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        cadence: CheckpointSettings,
        surroundings: Surroundings,
    ) -> None:
        self._with = surroundings
        self._guard = FiniteGuard(fp16=surroundings.fp16)
        super().__init__(
            model=model,
            args=args,
            train_dataset=surroundings.rows,
            callbacks=[Boundary(cadence, surroundings.stop)],
        )
        self.remove_callback(PrinterCallback)  # it prints to stdout, which is for JSON lines

    def get_train_dataloader(self) -> torch.utils.data.DataLoader[Any]:
        """Return this process's micro-batches; the order is ours, so nothing is sharded again."""
        return torch.utils.data.DataLoader(
            self._with.rows,
            batch_sampler=self._with.batches,
            collate_fn=padded,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Record a step; called on every process with the same numbers, before any save.

        Raises:
            NumericFailure: the loss or the gradient norm is not finite.
        """
        if "loss" not in logs:
            return
        step, loss, grad_norm = self.state.global_step, logs["loss"], logs["grad_norm"]
        if self._guard.is_broken(loss, grad_norm):
            raise numeric_failure(step, loss, grad_norm, self._origins(step))
        if dist.is_main():
            self._with.log.step(
                step, loss=loss, learning_rate=logs["learning_rate"], grad_norm=grad_norm
            )

    def _origins(self, step: int) -> list[tuple[str, int]]:
        first = (step - 1) * self._with.global_batch
        return self._with.rows.origins(range(first, first + self._with.global_batch))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write the state of this step on all processes, then commit it on the main one."""
        step, checkpoints = self.state.global_step, self._with.checkpoints
        from_main(lambda: checkpoints.begin(step))
        self._write_state(checkpoints.partial(step))
        barrier()
        from_main(lambda: checkpoints.commit(step, self._facts(step)))
        self._with.log.restart_clock()

    def _write_state(self, folder: Path) -> None:
        """Write what resuming needs: weights, optimizer, scheduler, random state, counters.

        DeepSpeed's own shards hold the weights; gathering them once more would only cost.
        """
        if not self.is_deepspeed_enabled:
            self.model.save_pretrained(folder)
        self._save_optimizer_and_scheduler(str(folder))
        self._save_scaler(str(folder))
        self._save_rng_state(str(folder))
        if dist.is_main():
            self.state.save_to_json(str(folder / TRAINER_STATE))

    def _facts(self, step: int) -> Facts:
        return {
            **self._with.facts,
            "dataPosition": step * self._with.global_batch,
            "savedAt": round(time.time(), 3),
        }


class Boundary(TrainerCallback):  # type: ignore[misc]  # as above
    """Decides at every step boundary, with all processes, whether to save and whether to end."""

    def __init__(self, cadence: CheckpointSettings, stop: StopFlag) -> None:
        self._cadence = cadence
        self._stop = stop
        self._saved_at = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Ask all processes; any signal stops all, and the main process's clock counts."""
        stop, due = any_rank(self._stop.is_set, dist.is_main() and self._minutes_are_over())
        control.should_training_stop |= stop
        control.should_save = (
            stop or due or self._is_turn(state.global_step) or state.global_step == state.max_steps
        )

    def on_save(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Count the minutes from here."""
        self._saved_at = time.monotonic()

    def _is_turn(self, step: int) -> bool:
        return self._cadence.every_steps > 0 and step % self._cadence.every_steps == 0

    def _minutes_are_over(self) -> bool:
        seconds = 60 * self._cadence.every_minutes
        return seconds > 0 and time.monotonic() - self._saved_at >= seconds
