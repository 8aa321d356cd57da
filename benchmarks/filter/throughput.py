"""How fast is `uncensor filter`, on one core and on two, beside the loop of 2023?

    .venv/bin/python benchmarks/filter/throughput.py [--megabytes 200]

Rows are drawn from ../shared/data/instruct when that is there, generated otherwise. Every process
is measured on its own: wall time, CPU time and the largest resident memory (VmHWM) of any one of
its processes. Prints a table and writes benchmarks/results/filter-throughput.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from peaks import most_megabytes

ROOT = Path(__file__).parents[2]
NATURAL = ROOT.parent / "shared" / "data" / "instruct" / "alpaca_eval_outputs.alpaca.json"
RESULT = ROOT / "benchmarks" / "results" / "filter-throughput.json"
TOPICS = ("bread", "the tides", "a garden shed", "sorting numbers", "old bridges", "chess")
REFUSALS = 0.03

# The engine in a process of its own; prints what it cost without the start of Python.
ENGINE = """
import resource, sys, time
from uncensor_trainer.filtering import Job, Policy, filter_files
from uncensor_trainer.filtering.policy import warm
from uncensor_trainer.filtering.lines import filter_lines
source, output, jobs = sys.argv[1:]
warm()
with open(source, "rb") as file:
    filter_lines(file.readline(), Policy())
began, cpu = time.perf_counter(), time.process_time()
tally = filter_files(Job((source,), output, Policy(), jobs=int(jobs)))
seconds = time.perf_counter() - began
children = resource.getrusage(resource.RUSAGE_CHILDREN)
print(seconds, time.process_time() - cpu + children.ru_utime + children.ru_stime,
      tally.rows, tally.dropped, sum(tally.by_class.values()))
"""
# The same without the second stage: every suspicious answer counts as plain.
SCREEN_ONLY = """
import uncensor_trainer.filtering.lines as lines
lines.verdicts_of_many = lambda rows, rules: [() for _ in rows]
"""
# What the cleaning script of 2023 does: everything in memory, a list of words asked with `in`,
# lower case made anew for each, everything written at the end. The words are our own choice.
LOOP = """
import json, sys, time
words = json.loads(sys.argv[3])
def bad(text):
    for word in words:
        if word.lower() in text.lower():
            return True
    return False
began, cpu = time.perf_counter(), time.process_time()
with open(sys.argv[1]) as file:
    rows = json.load(file)
kept = [row for row in rows if not bad(row["output"])]
with open(sys.argv[2], "w") as file:
    json.dump(kept, file, indent=2)
print(time.perf_counter() - began, time.process_time() - cpu, len(rows), len(rows) - len(kept),
      len(rows) - len(kept))
"""
# The least that a filter of lines can do in Python: one field by msgspec, one scan for the words,
# the line as it came. No classes, no checks, no second stage: more is not there on a machine.
LEAST = """
import json, sys, time
import hyperscan, msgspec
class Row(msgspec.Struct):
    output: str
words = json.loads(sys.argv[3])
database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
database.compile(expressions=[word.encode() for word in words], ids=list(range(len(words))),
                 flags=[hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH] * len(words))
decode, scan = msgspec.json.Decoder(Row).decode, database.scan
def stop(*_):
    return True
began, cpu = time.perf_counter(), time.process_time()
rows = dropped = 0
with open(sys.argv[1], "rb") as lines, open(sys.argv[2], "wb") as kept:
    for line in lines:
        rows += 1
        try:
            scan(decode(line).output.encode(), match_event_handler=stop)
            kept.write(line)
        except hyperscan.ScanTerminated:
            dropped += 1
print(time.perf_counter() - began, time.process_time() - cpu, rows, dropped, dropped)
"""
# As many as the list behind the cleanings of 2023 (211); kinds of words, not that list.
WORDS = [
    *("as an AI", "language model", "I cannot", "I can't", "unable to", "I'm sorry", "ethical"),
    *("diversity", "regulations", "bias", "respectful", "it is important to", "please note"),
]


def main() -> None:
    arguments = _arguments()
    rows, source = _pool()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        place = Path(folder)
        data, small = place / "rows.jsonl", place / "rows.json"
        _write(data, rows, arguments.megabytes * 10**6)
        with small.open("w") as file:
            json.dump(rows[: arguments.loop_rows], file)
        rounds = _interleaved(
            arguments.repeat,
            {
                "one core": ([_engine(data, place / "a.jsonl", 1)], data),
                "two cores": ([_engine(data, place / "a.jsonl", 2)], data),
                # What the machine has to give: nothing in common, and nothing to wait for.
                "two programs": ([_engine(data, place / f"{n}.jsonl", 1) for n in "ab"], data),
                "one core, screening only": (
                    [_engine(data, place / "a.jsonl", 1, SCREEN_ONLY)],
                    data,
                ),
                "least, first stage only": ([_with_words(LEAST, data, place / "a.jsonl")], data),
                "loop of 2023": ([_with_words(LOOP, small, place / "out.json")], small),
            },
        )
    _tell(arguments, source, rounds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--loop-rows", type=int, default=3000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where the rows are written")
    return parser.parse_args()


def _pool() -> tuple[list[dict[str, object]], str]:
    if NATURAL.exists():
        rows = json.loads(NATURAL.read_text(encoding="utf-8"))
        random.Random(7).shuffle(rows)  # noqa: S311 - a fixed order, no secret
        return rows, "alpaca_eval, repeated"
    return list(_generated(5000)), "generated"


def _generated(count: int) -> Iterator[dict[str, object]]:
    dice = random.Random(7)  # noqa: S311 - a fixed order, no secret
    for number in range(count):
        topic = dice.choice(TOPICS)
        sentences = [f"Step {n}: look at {topic} from side {dice.randrange(99)} and write it down."
                     for n in range(dice.randrange(5, 40))]  # fmt: skip
        text = " ".join(sentences)
        if dice.random() < REFUSALS:
            text = f"I'm sorry, but I cannot help with {topic}."
        yield {"id": number, "instruction": f"Tell me about {topic}.", "output": text}


def _write(path: Path, rows: list[dict[str, object]], size: int) -> None:
    lines = [json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows]
    written = 0
    with path.open("wb") as file:
        while written < size:
            for line in lines:
                written += file.write(line)
                if written >= size:
                    break


def _engine(data: Path, output: Path, jobs: int, before: str = "") -> list[str]:
    return [sys.executable, "-c", before + ENGINE, str(data), str(output), str(jobs)]


def _with_words(program: str, data: Path, output: Path) -> list[str]:
    words = WORDS + [f"phrase number {n} of a list" for n in range(211 - len(WORDS))]
    return [sys.executable, "-c", program, str(data), str(output), json.dumps(words)]


def _interleaved(
    repeat: int, peers: dict[str, tuple[list[list[str]], Path]]
) -> list[dict[str, dict[str, float]]]:
    """Return some rounds; in each every peer runs once, next to the others."""
    for _, data in peers.values():
        _touch(data)
    return [
        {name: _measured(commands, data) for name, (commands, data) in peers.items()}
        for _ in range(repeat)
    ]


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def _measured(commands: list[list[str]], data: Path) -> dict[str, float]:
    """Run commands at the same time; return what they did together."""
    with ThreadPoolExecutor() as threads:
        outs, memories = zip(*threads.map(_run, commands), strict=True)
    figures = [list(map(float, out.split())) for out in outs]
    seconds = max(one[0] for one in figures)
    cpu, rows, dropped, flagged = (sum(one[n] for one in figures) for n in range(1, 5))
    size, memory = len(commands) * data.stat().st_size / 1e6, max(memories)
    return {
        "megabytes": round(size, 1),
        "rows": rows,
        "dropped": dropped,
        "flagged": flagged,
        "seconds": round(seconds, 3),
        "cpuSeconds": round(cpu, 3),
        "megabytesPerSecond": round(size / seconds, 1),
        "megabytesPerCpuSecond": round(size / cpu, 1),
        "peakMegabytes": round(memory, 1),
    }


def _run(command: list[str]) -> tuple[str, float]:
    """Return what a command printed, and the most MB that any one of its processes had."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        most = most_megabytes(process)
        out = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{command[:3]} failed")
    return out, most


def _touch(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(1 << 22):
            pass


def _ratios(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    """Compare what ran within seconds: a shared machine changes its speed from minute to minute."""
    names = ("one core", "two cores", "two programs", "one core, screening only",
             "least, first stage only", "loop of 2023")  # fmt: skip
    one, two, both, screening, least, loop = (measured[name] for name in names)
    wall, processor = "megabytesPerSecond", "megabytesPerCpuSecond"
    return {
        "twoCoresOverOne": two[wall] / one[wall],
        "twoProgramsOverOne": both[wall] / one[wall],
        "overLoop": one[wall] / loop[wall],
        "overLoopInCpuTime": one[processor] / loop[processor],
        "leastOverLoopInCpuTime": least[processor] / loop[processor],
        "screeningOverLoopInCpuTime": screening[processor] / loop[processor],
    }


def _tell(
    arguments: argparse.Namespace, source: str, rounds: list[dict[str, dict[str, float]]]
) -> None:
    measured = {name: _median([one[name] for one in rounds]) for name in rounds[0]}
    found = [_ratios(one) for one in rounds]
    ratios = {name: round(value, 2) for name, value in _median(found).items()}
    spread = {name: sorted(round(one[name], 2) for one in found) for name in ratios}
    print(f"{'':26}{'MB':>7}{'s':>8}{'CPU s':>8}{'MB/s':>8}{'MB/CPU s':>10}{'peak MB':>9}")
    for name, figures in measured.items():
        print(
            f"{name:26}{figures['megabytes']:7.0f}{figures['seconds']:8.2f}"
            f"{figures['cpuSeconds']:8.2f}{figures['megabytesPerSecond']:8.1f}"
            f"{figures['megabytesPerCpuSecond']:10.1f}{figures['peakMegabytes']:9.0f}"
        )
    print(ratios, "load", os.getloadavg())
    record = {
        "command": "python benchmarks/filter/throughput.py " + " ".join(sys.argv[1:]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "loadAverage": os.getloadavg(),
        "rows": source,
        "rounds": arguments.repeat,
        "measured": measured,
        "ratios": ratios,
        "ratiosOfEachRound": spread,
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
