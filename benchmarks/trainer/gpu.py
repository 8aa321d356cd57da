"""Useful tokens a second, MFU and memory of our train stage on one GPU, switch by switch.

Run as: .venv/bin/python benchmarks/trainer/gpu.py rows ROWS                 (anywhere)
        python benchmarks/trainer/gpu.py measure ROWS RESULT [--cells A,B]   (on the GPU)

`rows` tokenises rows of ../shared/data/instruct of at most 2048 tokens. `measure` trains a random
Llama of 1.56 billion parameters on them: the real stage without its saves and its export, each cell
in a process of its own, forked from one that has imported everything. The first steps do not count.
The result is written after every cell, so a run that is cut off leaves what it has.

MFU is `uncensor_trainer.efficiency`'s (PaLM's formula) over the data sheet's dense bf16 peak.
`mfuStrict` counts less: the output layer only for tokens that count in the loss, because ours skips
the others, and attention only below the diagonal.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import importlib.metadata
import io
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DATA = HERE.parents[2] / "shared" / "data" / "instruct" / "alpaca_eval_outputs.alpaca.json"
sys.path.insert(0, str(HERE))

LONGEST = 2048
GLOBAL_BATCH = 128  # rows, as in the recipe of 2023
STEPS, WARM_UP = 7, 2
SHAPE = {
    "vocab_size": 49_152,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 24,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": LONGEST,
    "tie_word_embeddings": True,
}
PACKAGES = ("torch", "transformers", "accelerate", "deepspeed", "liger-kernel", "trl", "triton")


@dataclass(frozen=True)
class Cell:
    """One measurement of ours; `micro` rows of full length bound the tokens of a pass."""

    checkpointing: bool = False
    packing: str = "auto"
    compile: bool = False
    liger: bool = False
    micro: int = 8
    deepspeed: int | None = None
    every: int = 1  # with checkpointing, only every so many layers compute twice


CELLS: dict[str, Cell] = {
    "groups": Cell(packing="off"),
    "packed": Cell(),
    "packed liger": Cell(liger=True),
    "packed compile": Cell(compile=True),
    "packed compile liger": Cell(compile=True, liger=True),
    "groups compile": Cell(packing="off", compile=True),
    "ckpt groups": Cell(True, "off", micro=16),
    "ckpt packed": Cell(True, micro=16),
    "ckpt packed liger": Cell(True, liger=True, micro=16),
    "ckpt packed compile": Cell(True, compile=True, micro=16),
    "ckpt packed compile liger": Cell(True, compile=True, liger=True, micro=16),
    "ckpt-2 packed liger": Cell(True, liger=True, micro=16, every=2),
    "packed compile 16": Cell(compile=True, micro=16),
    "packed liger 16": Cell(liger=True, micro=16),
    "packed deepspeed-3": Cell(deepspeed=3),
    "packed deepspeed-2": Cell(deepspeed=2),
    "ckpt packed liger deepspeed-3": Cell(True, liger=True, micro=16, deepspeed=3),
}
PEERS = ("ckpt llama-x", "ckpt trl", "ckpt trl liger")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("rows").add_argument("rows", type=Path)
    measure = commands.add_parser("measure")
    measure.add_argument("rows", type=Path)
    measure.add_argument("result", type=Path)
    measure.add_argument("--cells", default=",".join([*CELLS, *PEERS]))
    measure.add_argument("--seconds", type=float, default=10**6, help="begin no cell after these")
    measure.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    if arguments.command == "rows":
        _write_rows(arguments.rows)
    else:
        _measure(arguments)


def _write_rows(path: Path) -> None:
    import numpy as np
    from run import _model, _rows

    with tempfile.TemporaryDirectory() as folder:
        found = _rows(_model(Path(folder) / "model"), GLOBAL_BATCH * STEPS, LONGEST)
    lengths = np.array([len(row["input_ids"]) for row in found])
    ids = np.concatenate([row["input_ids"] for row in found]).astype(np.uint16)
    counted = np.concatenate([row["labels"] for row in found]) >= 0
    np.savez_compressed(path, ids=ids, counted=counted, lengths=lengths)
    print(f"{len(found)} rows, {lengths.mean():.0f} tokens on average, longest {lengths.max()}")


@dataclass(frozen=True)
class Rows:
    """Tokenised rows."""

    ids: list[list[int]]
    labels: list[list[int]]

    @classmethod
    def read(cls, path: Path, number: int) -> Rows:
        import numpy as np

        data = np.load(path)
        ends = np.cumsum(data["lengths"])[:-1]
        labels = np.where(data["counted"], data["ids"].astype(np.int64), -100)
        ids = [part.tolist() for part in np.split(data["ids"], ends)][:number]
        return cls(ids, [part.tolist() for part in np.split(labels, ends)][:number])


def _measure(arguments: argparse.Namespace) -> None:
    began = time.monotonic()
    _import_everything()
    rows = Rows.read(arguments.rows, GLOBAL_BATCH * arguments.steps)
    lengths = [len(row) for row in rows.ids]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        about = _in_a_process(_about, model)
        told: dict[str, Any] = {
            "command": " ".join(["python benchmarks/trainer/gpu.py", *sys.argv[1:]]),
            "date": time.strftime("%Y-%m-%d"),
            "machine": about,
            "versions": {name: _version(name) for name in PACKAGES},
            "model": SHAPE,
            "globalBatchRows": GLOBAL_BATCH,
            "stepsCounted": arguments.steps - WARM_UP,
            "tokensOfRows": {"mean": round(sum(lengths) / len(lengths), 1), "most": max(lengths)},
            "cells": {},
        }
        for name in arguments.cells.split(","):
            if time.monotonic() - began > arguments.seconds:
                told["cells"][name] = {"failed": "no time left"}
                continue
            stuck = [n for n, c in told["cells"].items() if "no answer" in c.get("failed", "")]
            if "compile" in name and any("compile" in one for one in stuck):
                told["cells"][name] = {"failed": f"left out after {stuck[0]!r}"}
                continue
            started = time.monotonic()
            found = _in_a_process(_cell, name, rows, model, Path(folder), arguments.steps)
            told["cells"][name] = {**found, "cellSeconds": round(time.monotonic() - started, 1)}
            print(name, json.dumps(told["cells"][name]), flush=True)
            arguments.result.write_text(json.dumps(told, indent=1) + "\n")
    print(table(told["cells"]))


def table(cells: dict[str, dict[str, Any]]) -> str:
    lines = ["| cell | tokens/s | MFU | MFU strict | peak GiB |", "|---|---|---|---|---|"]
    for name, one in cells.items():
        if "failed" in one:
            lines.append(f"| {name} | {one['failed'][:60]} | | | |")
            continue
        lines.append(
            f"| {name} | {one.get('tokensPerSecond', '')} | {one.get('mfu', '')} | "
            f"{one.get('mfuStrict', '')} | {one.get('peakGiB', '')} |"
        )
    return "\n".join(lines)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _import_everything() -> None:
    """Import what every cell needs, without touching the GPU."""
    import transformers.models.llama.modeling_llama  # noqa: F401

    import uncensor_trainer.stages.train  # noqa: F401


def _in_a_process(work: Any, *arguments: Any, timeout: float = 50.0) -> dict[str, Any]:
    """Run a function in a forked process and return its result, or how it failed."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        faulthandler.dump_traceback_later(timeout - 5)
        try:
            sender.send(work(*arguments))
        except BaseException as error:  # noqa: BLE001 - also of a library that exits
            traceback.print_exc()
            sender.send({"failed": f"{type(error).__name__}: {str(error)[:300]}"})

    process = context.Process(target=run)
    process.start()
    found: dict[str, Any] = {"failed": f"no answer in {timeout:.0f} s"}
    with contextlib.suppress(EOFError):
        if receiver.poll(timeout):
            found = receiver.recv()
    process.join(5)
    process.kill()
    return found


def _about(model: Path) -> dict[str, Any]:
    """Save a random model; return what the GPU is, and what its products reach."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        made = LlamaForCausalLM(LlamaConfig(**SHAPE, eos_token_id=2, bos_token_id=None))
    made.save_pretrained(model)
    return {
        "gpu": torch.cuda.get_device_name(),
        "cores": len(os.sched_getaffinity(0)),
        "python": sys.version.split()[0],
        "cuda": torch.version.cuda,
        "parameters": sum(one.numel() for one in made.parameters()),
        "teraflops8192": _teraflops(8192, 8192, 8192),
        "teraflopsOfALayer": _teraflops(8192, 2048, 8192),
    }


def _teraflops(rows: int, inner: int, columns: int) -> float:
    """Return what a product of random bf16 matrices reaches."""
    import torch

    one = torch.randn(rows, inner, device="cuda", dtype=torch.bfloat16)
    other = torch.randn(inner, columns, device="cuda", dtype=torch.bfloat16)
    for _ in range(5):
        one @ other
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    began.record()
    for _ in range(20):
        one @ other
    ended.record()
    torch.cuda.synchronize()
    return round(2 * rows * inner * columns * 20 / began.elapsed_time(ended) / 1e9, 1)


def _cell(name: str, rows: Rows, model: Path, folder: Path, steps: int) -> dict[str, Any]:
    import gpu_peers

    own = name.removeprefix("trace ")
    if own in CELLS:
        traced = gpu_peers.trace_a_step() if own != name else {}
        found = _ours(CELLS[own], rows, model, folder / name.replace(" ", "-"), steps)
        return {**found, **traced}
    return gpu_peers.measured(name, rows, model, folder, steps)


def _ours(cell: Cell, rows: Rows, model: Path, folder: Path, steps: int) -> dict[str, Any]:
    from ours import lay_out

    from uncensor_trainer import memory
    from uncensor_trainer.loop import Loop
    from uncensor_trainer.progress import Progress
    from uncensor_trainer.run import StageContext
    from uncensor_trainer.stages import train
    from uncensor_trainer.workspace import Workspace, read_lines

    job = _job(cell, rows, model)
    run = _run_file(cell, job, folder)
    workspace = Workspace(folder, run.run)
    lay_out(job, workspace)
    if cell.deepspeed is not None:
        train.needs_deepspeed = memory.needs_deepspeed = lambda *_, **__: True
        from uncensor_trainer import engine

        engine.needs_deepspeed = lambda *_, **__: True
    if cell.every > 1:
        arguments = train.training_arguments

        def fewer(*given: Any) -> Any:
            made = arguments(*given)
            made.activation_checkpointing_kwargs["every_n_layers"] = cell.every
            return made

        train.training_arguments = fewer
    Loop._save_checkpoint = lambda *_: None
    Loop.finish_saves = lambda *_: None
    train.export_model = lambda *_: 0
    train.write_card = lambda *_: None
    train.refuse_full_disk = lambda *_: "no disk"
    lines = io.StringIO()
    with contextlib.redirect_stderr(sys.stdout):
        train.run(
            StageContext(run, "train", workspace, Progress("train", stream=lines)),
            workspace.begin("train", "benchmark"),
        )
    found = read_lines(workspace.arm_dir("filtered") / "metrics.jsonl")
    notes = [json.loads(line) for line in lines.getvalue().splitlines()]
    return {
        **_summary(found[WARM_UP:], rows, workspace, steps),
        "losses": [round(float(one["loss"]), 4) for one in found],
        "stepSeconds": [one["step_seconds"] for one in found],
        "parts": {name: one for name, one in found[-1].items() if name.endswith("_seconds")},
        "notes": [one["message"] for one in notes if one["event"] == "note"],
    }


def _job(cell: Cell, rows: Rows, model: Path) -> Any:
    from common import Job

    return Job(
        model=str(model),
        rows=[
            {"input_ids": ids, "labels": labels}
            for ids, labels in zip(rows.ids, rows.labels, strict=True)
        ],
        micro_batch=cell.micro,
        accumulation=GLOBAL_BATCH // cell.micro,
        max_length=LONGEST,
        checkpointing=cell.checkpointing,
        setting=cell.packing,
    )


def _run_file(cell: Cell, job: Any, folder: Path) -> Any:
    from ours import run_file

    run = run_file(job, folder)
    training = run.training.model_copy(
        update={"precision": "bf16", "torch_compile": cell.compile, "liger_kernels": cell.liger}
    )
    if cell.deepspeed is not None:
        zero = training.deepspeed.model_copy(update={"stage": cell.deepspeed})
        training = training.model_copy(update={"deepspeed": zero})
    return run.model_copy(update={"training": training})


def _summary(found: list[dict[str, Any]], rows: Rows, workspace: Any, steps: int) -> dict[str, Any]:
    seconds = sum(one["step_seconds"] for one in found)
    tokens = sum(one["tokens_per_second"] * one["step_seconds"] for one in found)
    done = sum((one["mfu"] or 0) * one["step_seconds"] for one in found)
    mfu = done / seconds
    return {
        "tokensPerSecond": round(tokens / seconds),
        "mfu": round(mfu, 4),
        "mfuStrict": round(mfu * strictness(rows), 4),
        "peakGiB": round(max(one["peak_memory_bytes"] for one in found) / 2**30, 2),
    }


def parameters() -> int:
    """Return those that multiply; tied embeddings count once, as the output layer."""
    width, inner = SHAPE["hidden_size"], SHAPE["intermediate_size"]
    heads, keys = SHAPE["num_attention_heads"], SHAPE["num_key_value_heads"]
    layer = 2 * width * width + 2 * width * (width // heads * keys) + 3 * width * inner + 2 * width
    return SHAPE["num_hidden_layers"] * layer + width + SHAPE["vocab_size"] * width


def flops(rows: Rows) -> float:
    """Return the operations of one pass over the rows by PaLM's formula."""
    import numpy as np

    from uncensor_trainer.efficiency import Work

    work = Work(parameters(), SHAPE["num_hidden_layers"], SHAPE["hidden_size"])
    return work.flops(np.array([len(one) for one in rows.ids]))


def strictness(rows: Rows) -> float:
    """Return the share of PaLM's operations that are really needed."""
    skipped = sum(label < 0 for row in rows.labels for label in row)
    squares = sum(len(one) ** 2 for one in rows.ids)
    less = 6.0 * SHAPE["vocab_size"] * SHAPE["hidden_size"] * skipped
    less += 6.0 * SHAPE["num_hidden_layers"] * SHAPE["hidden_size"] * squares
    return 1 - less / flops(rows)


if __name__ == "__main__":
    main()
