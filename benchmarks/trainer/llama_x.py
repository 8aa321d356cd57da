"""A training loop in the manner of Llama-X (2023), written from its description.

Micro-batches of random rows, padded to their longest; a mask for the padding; the model's own
loss over the logits of all tokens; the mean of the micro-batches' means. AdamW of torch without
fusing, clipping at 1.0. The float16 of the original is left out: a CPU does not train in it.
"""

from __future__ import annotations

import torch
from common import LEARNING_RATE, Clock, Job, job, tell
from transformers import AutoModelForCausalLM


def padded(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    longest = max(len(row["input_ids"]) for row in rows)
    batch = {
        "input_ids": torch.zeros((len(rows), longest), dtype=torch.int64),
        "labels": torch.full((len(rows), longest), -100),
        "attention_mask": torch.zeros((len(rows), longest), dtype=torch.int64),
    }
    for index, row in enumerate(rows):
        length = len(row["input_ids"])
        batch["input_ids"][index, :length] = torch.tensor(row["input_ids"])
        batch["labels"][index, :length] = torch.tensor(row["labels"])
        batch["attention_mask"][index, :length] = 1
    return batch


def train(one: Job) -> tuple[Clock, list[float]]:
    model = AutoModelForCausalLM.from_pretrained(one.model, dtype=torch.float32)
    model.config.use_cache = False
    if one.checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    model.train()
    clock, losses, batches = Clock(), [], iter(range(0, len(one.rows), one.micro_batch))
    clock.start()
    for _ in range(one.steps):
        total = 0.0
        for _ in range(one.accumulation):
            first = next(batches)
            loss = model(**padded(one.rows[first : first + one.micro_batch])).loss
            (loss / one.accumulation).backward()
            total += loss.item() / one.accumulation
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
        clock.stop()
    return clock, losses


if __name__ == "__main__":
    work = job()
    tell(work, *train(work))
