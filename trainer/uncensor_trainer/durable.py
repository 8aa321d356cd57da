"""The Trainer's saving, resuming and rolling back, in our way instead of its own.

The Trainer still steps, skips to the right row and restores random state. What the optimizer
works with goes through training_state.py and saving.py, so that another number of processes or
another ZeRO stage can go on with it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from transformers import Trainer

from uncensor_trainer import dist
from uncensor_trainer.checkpoints import Checkpoint, Checkpoints, Facts
from uncensor_trainer.collectives import any_rank, from_main
from uncensor_trainer.exits import StageError
from uncensor_trainer.guards import numeric_failure
from uncensor_trainer.loss_watch import LossWatch, Verdict
from uncensor_trainer.progress import Phase, Progress
from uncensor_trainer.saving import Saver
from uncensor_trainer.state_files import StateReader
from uncensor_trainer.training_state import TrainingState
from uncensor_trainer.workspace import read_json, write_json

TRAINER_STATE = "trainer_state.json"
COUNTERS = "counters.json"


class DurableTrainer(Trainer):  # type: ignore[misc]  # transformers ships no types mypy can use
    """A Trainer that saves for any number of processes and can go back when training breaks.

    Attributes:
        checkpoints: where state is committed.
        progress: where notes for people go.
        watch: what the losses so far say.
        saver: writes checkpoints; there from the beginning of the training on.
    """

    def __init__(
        self,
        *args: Any,
        checkpoints: Checkpoints,
        progress: Progress,
        watch: LossWatch,
        asynchronous: bool,
        **kwargs: Any,
    ) -> None:
        self.checkpoints = checkpoints
        self.progress = progress
        self.watch = watch
        self.saver: Saver | None = None
        self._asynchronous = asynchronous
        super().__init__(*args, **kwargs)

    def finish_saves(self) -> None:
        """Wait for what is being written in the background.

        Raises:
            StageError: it could not be written.
        """
        if self.saver is not None:
            self.progress.enter(Phase.SAVING)
            self.saver.wait()

    def settle(self) -> None:
        """Let a save that is under way end, also when training ended with an error of its own.

        What an export needs of memory comes after that, and can have what saves took.
        """
        try:
            self.finish_saves()
        except StageError as error:
            self.progress.note(str(error))
        if self.saver is not None:
            self.saver.close()

    def _prepare_for_training(self, max_steps: int, loader: Any, resume: str | None) -> Any:
        """Build engine, optimizer and scheduler; then bring back what was saved."""
        prepared = super()._prepare_for_training(max_steps, loader, None)
        engine = self.deepspeed if self.is_deepspeed_enabled else None
        self._numbers = TrainingState(self.model, self.optimizer, engine)
        self.saver = Saver(
            self._numbers, self.checkpoints, self.progress, asynchronous=self._asynchronous
        )
        if resume is not None:
            self._resume(Path(resume))
        self.progress.enter(Phase.TRAINING)
        return prepared

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Weights come with the optimizer's state, after the engine is built."""

    def _resume(self, folder: Path) -> None:
        counters = self._restore_numbers(folder)
        self.lr_scheduler.load_state_dict(counters["scheduler"])
        rates = self.lr_scheduler.get_last_lr()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.watch.restore(counters["watch"])

    def _restore_numbers(self, folder: Path) -> dict[str, Any]:
        counters: dict[str, Any] = read_json(folder / COUNTERS) or {}
        with StateReader(folder) as reader:
            self._numbers.restore(reader, counters)
        return counters

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save this step, unless its losses leave doubt whether it is worth coming back to."""
        ends = self.control.should_training_stop or self.state.global_step == self.state.max_steps
        if self.watch.in_doubt and not ends:
            return
        assert self.saver is not None  # noqa: S101 - training has begun
        step = self.state.global_step
        self.progress.enter(Phase.SAVING)
        self.saver.save(step, self._facts(step), self._write_rest)
        self.progress.enter(Phase.TRAINING)

    def _write_rest(self, folder: Path) -> None:
        """Write what is small: random state of each process, scheduler, counters."""
        self._save_rng_state(str(folder))
        if not dist.is_main():
            return
        self.state.save_to_json(str(folder / TRAINER_STATE))
        counters = {
            **self._numbers.counters(),
            "scheduler": self.lr_scheduler.state_dict(),
            "watch": self.watch.state(),
        }
        write_json(folder / COUNTERS, counters)

    def _facts(self, step: int) -> Facts:
        """Return what a manifest says."""
        return {"savedAt": round(time.time(), 3)}

    def judge(self, step: int, loss: float, grad_norm: float) -> bool:
        """Look at a step that has just ended, with all processes; go back when it is broken.

        Returns:
            Whether the step stands.

        Raises:
            NumericFailure: the training is broken, and going back cannot help (any more).
            StageError: a save in the background failed.
        """
        self.progress.alive(step)
        verdict = self.watch.judge(step, loss, grad_norm)
        broken, unsaved = any_rank(
            verdict is Verdict.BROKEN, self.saver is not None and self.saver.failed
        )
        if unsaved:
            self.finish_saves()
        if broken:
            self._roll_back(step, loss, grad_norm)
        return not broken

    def _roll_back(self, step: int, loss: float, grad_norm: float) -> None:
        """Take weights and moments of an earlier checkpoint, and go on with the next rows.

        The step count, the learning rate and the place in the data stay where they are: the rows
        of the steps in between are skipped, and nothing of them is left in the weights.
        """
        self.finish_saves()  # the checkpoint to go back to may still be on its way
        first = min(self.watch.first_bad or step, step)
        found = (
            from_main(lambda: self._checkpoint_before(first)) if self.watch.may_go_back else None
        )
        if found is None:
            rows = self._origins(first)
            raise numeric_failure(first, loss, grad_norm, rows, self.watch.roll_backs)
        self._restore_numbers(found.folder)
        self._tr_loss.zero_()  # a sum that is no number would stay so
        self.progress.enter(Phase.TRAINING)
        self.watch.went_back(found.step, step)
        self.progress.event("rolled-back", step=step, to=found.step, loss=str(loss))
        self.progress.note(
            f"Training broke at step {first} (loss {loss:.4g}, gradient norm {grad_norm:.4g}). "
            f"Went back to the weights of step {found.step}; the rows of steps {found.step + 1} "
            f"to {step} are skipped."
        )

    def _checkpoint_before(self, step: int) -> Checkpoint | None:
        found, notes = self.checkpoints.newest_verified(before=step)
        for note in notes:
            self.progress.note(note)
        return found

    def _origins(self, step: int) -> list[tuple[str, int]]:
        """Return (data set, row) of the rows of a step."""
        raise NotImplementedError
