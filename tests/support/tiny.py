"""A tiny model, a run file and a workspace, so that stages run for real in seconds.

`tiny_model` saves a random Llama with a tokenizer; `run_file` describes a run with dull defaults;
`workspace_with` lays out what fetch and filter would leave; `context` is what a stage gets.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from support.tokenizers import a_tokenizer
from uncensor_trainer.progress import Progress
from uncensor_trainer.run import STAGES, StageContext, run_stage
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.workspace import Workspace

# Threads of such small matrices spend their time waiting for each other.
torch.set_num_threads(1)

TINY: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
KEEP_ALL = dict.fromkeys(
    ("refusal", "partial", "moralise", "capability", "disclaimer", "placeholder", "identity"),
    "keep",
)


def tiny_model(folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """Save a random Llama in float32 with its tokenizer and chat template; return the folder.

    Keyword arguments go to `LlamaConfig`; the same seed gives the same weights.
    """
    tokenizer = a_tokenizer()
    end = tokenizer.eos_token_id
    settings = {**TINY, "vocab_size": len(tokenizer), "eos_token_id": end, "bos_token_id": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**{**settings, **config}))
    model.generation_config.eos_token_id = end
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def some_rows(number: int, *, dataset: str = "greetings") -> list[dict[str, Any]]:
    """Return kept rows as filter writes them, of many different lengths."""
    return [
        {
            "dataset": dataset,
            "index": index,
            "messages": [
                {"role": "user", "content": f"Please greet person {index}."},
                {"role": "assistant", "content": "Hello there, " * (1 + index % 5) + f"{index}!"},
            ],
        }
        for index in range(number)
    ]


def run_file(
    workspace: Path,
    model: Path,
    *,
    stages: Sequence[str] = tuple(STAGES),
    digest: str = "0" * 12,
    training: dict[str, Any] | None = None,
    **fields: Any,
) -> RunFile:
    """Return a run file with dull defaults: fp32, micro-batch 4, no accumulation, one epoch.

    `training` is laid over the training defaults, other keyword arguments over the run file.
    """
    values: dict[str, Any] = {
        "run": "tiny",
        "workspace": str(workspace),
        "stages": [{"name": name, "digest": f"{name}-{digest}"} for name in stages],
        "model": {"kind": "path", "path": str(model)},
        "datasets": [
            {"name": "greetings", "source": {"kind": "path", "path": str(workspace / "rows.jsonl")}}
        ],
        "filter": {"actions": KEEP_ALL},
        "training": {
            "epochs": 1.0,
            "max_length": 128,
            "micro_batch_size": 4,
            "gradient_accumulation_steps": 1,
            "learning_rate": 1e-3,
            "precision": "fp32",
            "gradient_checkpointing": False,
            "checkpoints": {"every_steps": 1000, "every_minutes": 0, "keep_latest": 2},
            **(training or {}),
        },
    }
    return RunFile.model_validate_json(json.dumps({**values, **fields}))


def write_run_file(run: RunFile, path: Path) -> Path:
    """Write a run file where a stage started in its own process can read it."""
    path.write_text(run.model_dump_json(), encoding="utf-8")
    return path


def workspace_with(
    run: RunFile, kept: Iterable[dict[str, Any]], unfiltered: Iterable[dict[str, Any]] = ()
) -> Workspace:
    """Lay out what fetch and filter leave: sources.json, kept.jsonl and unfiltered.jsonl."""
    workspace = Workspace(Path(run.workspace), run.run)
    model = run.model.model_dump(mode="json")
    _commit(
        workspace,
        "fetch",
        {"sources.json": json.dumps({"model": {"folder": model["path"], "source": model}})},
    )
    _commit(
        workspace, "filter", {"kept.jsonl": _lines(kept), "unfiltered.jsonl": _lines(unfiltered)}
    )
    return workspace


def prepared_workspace(
    run: RunFile, kept: Iterable[dict[str, Any]], unfiltered: Iterable[dict[str, Any]] = ()
) -> Workspace:
    """Lay out everything that training reads, with the real prepare stage."""
    workspace = workspace_with(run, kept, unfiltered)
    run_stage(run, "prepare", silent_progress("prepare"))
    return workspace


def context(run: RunFile, stage: str) -> StageContext:
    """Return what a stage gets to see; its progress goes nowhere."""
    return StageContext(run, stage, Workspace(Path(run.workspace), run.run), silent_progress(stage))


def silent_progress(stage: str) -> Progress:
    """Return a progress writer whose lines nobody reads."""
    return Progress(stage, stream=io.StringIO())


def _commit(workspace: Workspace, stage: str, files: dict[str, str]) -> None:
    partial = workspace.begin(stage, "made-by-a-test")
    for name, text in files.items():
        (partial / name).write_text(text, encoding="utf-8")
    workspace.commit(stage, partial, {"stage": stage, "digest": "made-by-a-test"})


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
