"""From the start of the process to the first new step: a resumed training beside a cold one.

Run as: .venv/bin/python benchmarks/trainer/resume.py [--rounds 3] [--hidden 512] [--layers 8]

Trains a random Llama for a few steps, kills it after a checkpoint, and starts it again; by turns
with a start from nothing in a fresh workspace. Both load the same base model; the resumed one also
verifies and reads its state. The time runs until metrics.jsonl shows a new step.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.tiny import prepared_workspace, run_file, some_rows, tiny_model  # noqa: E402
from support.training import arm_dir, metrics, start  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "trainer-resume.json"
SAVED_AT = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = _measured(Path(scratch), arguments)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def _measured(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    base = tiny_model(
        folder / "base",
        hidden_size=arguments.hidden,
        intermediate_size=4 * arguments.hidden,
        num_hidden_layers=arguments.layers,
        vocab_size=32_000,
    )
    run = _run(folder / "saved", base)
    prepared_workspace(run, some_rows(16))
    state = arm_dir(run) / "checkpoints" / f"step-{SAVED_AT}"
    _until(run, (state / "COMMITTED").exists)
    cold, resumed = [], []
    for number in range(arguments.rounds):
        fresh = _run(folder / f"cold-{number}", base)
        prepared_workspace(fresh, some_rows(16))
        cold.append(_until(fresh))
        again = folder / f"resumed-{number}"
        shutil.copytree(folder / "saved", again)
        other = _run(again, base)
        resumed.append(_until(other))
    return {
        "command": "python " + " ".join(["benchmarks/trainer/resume.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "loadAfter": os.getloadavg()[0],
        "stateMiB": sum(path.stat().st_size for path in state.iterdir()) // 2**20,
        "coldSeconds": [round(one, 2) for one in cold],
        "resumedSeconds": [round(one, 2) for one in resumed],
        "ratio": round(statistics.median(resumed) / statistics.median(cold), 3),
    }


def _run(workspace: Path, base: Path) -> Any:
    return run_file(
        workspace,
        base,
        training={
            "epochs": 100.0,
            "checkpoints": {"every_steps": SAVED_AT, "every_minutes": 0, "keep_latest": 9},
        },
    )


def _until(run: Any, reached: Callable[[], bool] | None = None) -> float:
    """Start training, return the seconds until its first step (or `reached`), and kill it."""
    began = time.time()

    def first_step() -> bool:
        # Rows of the attempt before lie there too, with their time.
        return any(row["time"] > began for row in metrics(run))

    process = start(run)
    try:
        while not (reached or first_step)():
            if process.poll() is not None:
                raise RuntimeError(process.communicate()[1])
            time.sleep(0.02)
        return time.time() - began
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    main()
