"""What a pass through the model costs beside its tokens: the figure behind groups by length.

Run as: .venv/bin/python benchmarks/trainer/passes.py [--rounds 3]

Forward and backward of SmolLM2-135M in float32, with the gradients of passes before already there,
as in a step of several passes; half of the tokens count in the loss. Passes of several shapes are
timed by turns; a straight line through the medians, seconds = fixed + tokens * each, by least
squares of the relative errors, gives how many tokens a pass of its own costs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from run import RESULTS, _model
from transformers import AutoModelForCausalLM

from uncensor_trainer.losses import LossHead

SHAPES = [(1, 32), (1, 64), (1, 128), (1, 256), (2, 128), (4, 64), (1, 512), (4, 128), (2, 384)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = _model(Path(folder) / "model")
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    seconds = _seconds(model, rounds)
    fixed, each = _line(seconds)
    result = {
        "command": " ".join(["python benchmarks/trainer/passes.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "threads": torch.get_num_threads(),
            "python": platform.python_version(),
            "loadAverage": [round(one, 1) for one in os.getloadavg()],
        },
        "passes": [
            {"rows": rows, "tokensOfARow": length, "medianSeconds": round(found, 4)}
            for (rows, length), found in seconds.items()
        ],
        "fixedSeconds": round(fixed, 4),
        "secondsPerToken": round(each, 6),
        "tokensAPassCosts": round(fixed / each, 1),
    }
    text = json.dumps(result, indent=1)
    (RESULTS / "trainer-passes.json").write_text(text + "\n")
    print(text)


def _seconds(model: Any, rounds: int) -> dict[tuple[int, int], float]:
    head, found = LossHead(model), {shape: [] for shape in SHAPES}
    model.train()
    _pass(model, head, SHAPES[0])  # checks the head, and makes the gradients
    for _ in range(rounds):
        for shape in SHAPES:
            began = time.perf_counter()
            _pass(model, head, shape)
            found[shape].append(time.perf_counter() - began)
    return {shape: statistics.median(seconds) for shape, seconds in found.items()}


def _pass(model: Any, head: LossHead, shape: tuple[int, int]) -> None:
    ids = torch.randint(0, 40_000, shape)
    labels = ids.clone()
    labels[:, : shape[1] // 2] = -100
    head.summed(model, {"input_ids": ids, "labels": labels}).backward()


def _line(seconds: dict[tuple[int, int], float]) -> tuple[float, float]:
    tokens = np.array([rows * length for rows, length in seconds])
    wanted = np.array(list(seconds.values()))
    terms = np.stack([np.ones_like(wanted), tokens], axis=1) / wanted[:, None]
    fixed, each = np.linalg.lstsq(terms, np.ones_like(wanted), rcond=None)[0]
    return float(fixed), float(each)


if __name__ == "__main__":
    main()
