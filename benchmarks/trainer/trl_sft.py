"""TRL's SFTTrainer on the same tokens, in an environment of its own.

Settings: plain (padded, random micro-batches), padding-free, and bfd (packed). With bfd a batch is
counted in packed sequences, so that as many tokens make a step.
"""

from __future__ import annotations

import tempfile

from common import LEARNING_RATE, SEED, Clock, job, tell
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

SETTINGS = {
    "plain": {},
    "padding-free": {"padding_free": True},
    "bfd": {"packing": True, "packing_strategy": "bfd"},
}


class Timer(TrainerCallback):
    def __init__(self) -> None:
        self.clock, self.losses = Clock(), []

    def on_train_begin(self, *_, **__) -> None:
        self.clock.start()

    def on_log(self, args, state, control, logs=None, **_) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])
            self.clock.stop()


def main() -> None:
    one = job()
    micro_batch, accumulation = one.micro_batch, one.accumulation
    if one.setting == "bfd":
        sequences = -(-one.tokens // one.max_length)
        accumulation = max(1, round(sequences / one.steps))
        micro_batch = 1
    timer = Timer()
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=accumulation,
            num_train_epochs=1,
            learning_rate=LEARNING_RATE,
            # The rows are cut already, and padding-free refuses to do it.
            max_length=None if one.setting == "padding-free" else one.max_length,
            gradient_checkpointing=one.checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
            bf16=False,
            use_cpu=True,
            max_grad_norm=1.0,
            seed=SEED,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **SETTINGS[one.setting],
        )
        model = AutoModelForCausalLM.from_pretrained(one.model, dtype="float32")
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(one.rows),
            processing_class=AutoTokenizer.from_pretrained(one.model),
            callbacks=[timer],
        )
        trainer.train()
    tell(one, timer.clock, timer.losses)


if __name__ == "__main__":
    main()
