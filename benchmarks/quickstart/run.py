"""Measure the quickstart: time and memory of its stages, its result, and what kills do to it.

Run as: .venv/bin/python benchmarks/quickstart/run.py [--kills 5] [--keep DIR]

Without --kills: examples/quickstart.yaml as it is, in a fresh workspace. With --kills N: the same
in fp32, once undisturbed and once killed N times at random moments, and a comparison of the two.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
MANIFEST = ROOT / "examples" / "quickstart.yaml"
UNCENSOR = [sys.executable, "-m", "uncensor_operator.cli"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="keep the workspaces in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.kills:
            _write("quickstart-kills", _kills(folder, arguments.kills))
        else:
            _write("quickstart", _plain(folder))


def _plain(folder: Path) -> dict[str, Any]:
    began = time.monotonic()
    subprocess.run(_command(folder / "plain"), check=True)
    seconds = time.monotonic() - began
    run = folder / "plain" / "runs" / "quickstart"
    stages = _stages(run)
    refusal = json.loads((run / "evaluation" / "refusal.json").read_text())
    return {
        "seconds": round(seconds, 1),
        "peakMemoryGiB": max(stage["peakMemoryGiB"] for stage in stages.values()),
        "stages": stages,
        "refusalRates": {arm: _rate(value) for arm, value in refusal["arms"].items()},
        "pValue": refusal["comparison"]["pValue"],
        "perplexity": {arm: v["perplexity"] for arm, v in refusal["perplexity"].items()},
        "perplexityRatio": refusal["perplexityRatio"],
        "answerSeconds": {
            "uncensor --help": _answer_seconds(["--help"]),
            "uncensor validate": _answer_seconds(["validate", str(MANIFEST)]),
        },
    }


def _kills(folder: Path, kills: int) -> dict[str, Any]:
    exact = ["--set", "training.precision=fp32"]
    subprocess.run(_command(folder / "undisturbed", *exact), check=True)
    undisturbed = folder / "undisturbed" / "runs" / "quickstart"
    length = sum(stage["seconds"] for stage in _stages(undisturbed).values())
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    moments = []
    for _ in range(kills):
        process = subprocess.Popen(_command(folder / "killed", *exact))
        wait = chance.uniform(5, length / kills)
        time.sleep(wait)
        what = chance.choice(["command", "stage", "both"])
        _kill(process, what)
        moments.append({"seconds": round(wait, 1), "killed": what})
    subprocess.run(_command(folder / "killed", *exact), check=True)
    killed = folder / "killed" / "runs" / "quickstart"
    finished = Counter(e["stage"] for e in _events(killed) if e["event"] == "stage-finished")
    return {
        "kills": moments,
        "sameResults": _results(killed) == _results(undisturbed),
        "sameLosses": {
            arm: _losses(killed / sub) == _losses(undisturbed / sub)
            for arm, sub in (("filtered", "."), ("control", "control"))
        },
        "finalLoss": {
            arm: _losses(killed / sub)[-1]
            for arm, sub in (("filtered", "."), ("control", "control"))
        },
        "stagesDoneTwice": [stage for stage, number in finished.items() if number > 1],
    }


def _command(workspace: Path, *more: str) -> list[str]:
    return [*UNCENSOR, "run", str(MANIFEST), "--workspace", str(workspace), *more]


def _kill(process: subprocess.Popen[bytes], what: str) -> None:
    stages = psutil.Process(process.pid).children(recursive=True)
    victims = {"command": [process], "stage": stages, "both": [process, *stages]}[what]
    for victim in victims:
        try:
            os.kill(victim.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def _events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def _stages(run: Path) -> dict[str, dict[str, float]]:
    return {
        event["stage"]: {
            "seconds": event["seconds"],
            "peakMemoryGiB": round(event["peakMemoryBytes"] / 2**30, 2),
        }
        for event in _events(run)
        if event["event"] == "stage-finished"
    }


def _rate(arm: dict[str, Any]) -> dict[str, Any]:
    return {key: round(arm[key], 4) for key in ("rate", "low", "high", "refusals", "n")}


def _results(run: Path) -> Any:
    return json.loads((run / "report" / "report.json").read_text())["results"]


def _losses(arm: Path) -> list[Any]:
    lines = (arm / "metrics.jsonl").read_text().splitlines()
    return [(row["step"], row["loss"]) for row in map(json.loads, lines)]


def _answer_seconds(arguments: list[str]) -> float:
    """Return the median of nine answers of the command, in seconds."""
    taken = []
    for _ in range(9):
        began = time.monotonic()
        subprocess.run([*UNCENSOR, *arguments], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.monotonic() - began)
    return round(statistics.median(taken), 3)


def _write(name: str, measured: dict[str, Any]) -> None:
    value = {
        "command": "python " + " ".join([str(Path(__file__).relative_to(ROOT)), *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "memoryGiB": round(psutil.virtual_memory().total / 2**30, 1),
            "processor": _processor(),
            "python": platform.python_version(),
            "loadBefore": os.getloadavg()[2],
        },
        **measured,
    }
    text = json.dumps(value, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


if __name__ == "__main__":
    main()
