"""Models that say what they were taught, and a workspace where training seems to be done."""

from __future__ import annotations

import json
import random
import re
import shutil
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from support.tiny import tiny_model
from uncensor_trainer.data.formats import Message
from uncensor_trainer.data.templates import template_for
from uncensor_trainer.data.tokenise import encode
from uncensor_trainer.evaluation.models import OpenModel, open_model
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.workspace import Workspace, write_json

REFUSAL = "I'm sorry, but I cannot help with that."
HELP = "Sure: boil the water, then add salt."
LETTERS = string.ascii_letters + " ?,.            "

OUTPUTS = {"filtered": "train", "control": "train-control"}

# An answer is known when many questions in a row leave hardly any loss.
KNOWN_LOSS = 0.02
KNOWN_IN_A_ROW = 20


def taught_model(folder: Path, answer: str) -> Path:
    """Save a tiny Llama that gives one answer whatever it is asked; return the folder.

    Every word of both answers is a token that occurs once, so that the next word follows from the
    last one alone, and little training is enough for every question there is.
    """
    tiny_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(re.findall(r" ?\S+", f"{REFUSAL}{HELP}"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    template = template_for("auto", tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    chance = random.Random(0)  # noqa: S311 - questions, not secrets
    known = 0
    while known < KNOWN_IN_A_ROW:
        # Ever new nonsense: what the question says must not matter.
        question = "".join(chance.choices(LETTERS, k=chance.randrange(2, 90)))
        row = encode(
            template, tokenizer, [Message("user", question), Message("assistant", answer)], 512
        )
        ids, labels = torch.tensor([row.input_ids]), torch.tensor([row.labels])
        loss = model(input_ids=ids, labels=labels).loss
        known = known + 1 if loss.item() < KNOWN_LOSS else 0
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def a_varied_model(folder: Path, **config: Any) -> OpenModel:
    """Return an open random Llama whose answers differ from prompt to prompt."""
    # The usual 0.02 gives a model that repeats its last token, whatever the mask is.
    return open_model(tiny_model(folder, initializer_range=0.4, **config), "auto")


def lay_out(
    run: RunFile,
    arms: Mapping[str, Path],
    *,
    lists: Mapping[str, Sequence[Path]] | None = None,
    held_out: Sequence[dict[str, Any]] = (),
) -> Workspace:
    """Put models and lists where fetch, prepare and the training stages leave them."""
    workspace = Workspace(Path(run.workspace), run.run)
    sources: dict[str, Any] = {
        name: {"files": [str(file) for file in files]} for name, files in (lists or {}).items()
    }
    for arm, folder in arms.items():
        if arm == "baseline":
            sources["baseline"] = {"folder": str(folder)}
        else:
            shutil.copytree(folder, workspace.output(OUTPUTS[arm]))
    workspace.output("fetch").mkdir(parents=True)
    write_json(workspace.output("fetch") / "sources.json", sources)
    workspace.output("prepare").mkdir(parents=True)
    write_rows(workspace.output("prepare") / "validation.jsonl", held_out)
    return workspace


def write_rows(path: Path, rows: Sequence[Any]) -> Path:
    """Write JSON lines and return the path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def a_conversation(answer: str, question: str = "How do I cook rice?") -> dict[str, Any]:
    """Return a held-out row as prepare writes it."""
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"dataset": "rows", "index": 0, "messages": turns}
