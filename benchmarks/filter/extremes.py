"""Wrong and extreme files through `uncensor filter`: is every row told of, in how much memory?

    .venv/bin/python benchmarks/filter/extremes.py [--megabytes 1000] [--folder /tmp] [--only WORD]

Files are made, filtered by a process of its own and removed, one after another. Exit code 1 when a
row is lost, a traceback appears, a refusal has no place in it, or a process had more than 150 MB.
The tests hold the same cases in small.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from peaks import most_megabytes

LIMIT = 150.0  # MB
STEP = 1 << 20
PLAIN = "Boil the rice for twelve minutes, drain it, and let it rest under a cloth. " * 8
REFUSAL = "I'm sorry, but I cannot help with that request."
CAVEAT = (
    "As an AI language model, I don't have personal opinions. However, the bridge is 40 metres "
    "long, was built in 1912 and carries two lanes of traffic over the river every day."
)


def row(answer: str = PLAIN, **more: object) -> bytes:
    return json.dumps({"instruction": "How?", "output": answer, **more}).encode()


@dataclass(frozen=True)
class Case:
    """A file, and what has to become of it: (rows, kept, quarantined), or words of a refusal."""

    name: str
    file: str
    pieces: Callable[[int], Iterator[bytes]]
    wanted: Callable[[int], tuple[int, int, int]] | str
    jobs: int = 1
    options: tuple[str, ...] = ()


def among_rows(filling: bytes, end: bytes = b"") -> Callable[[int], Iterator[bytes]]:
    """A line of so many bytes between two rows."""

    def pieces(size: int) -> Iterator[bytes]:
        yield row() + b'\n{"instruction": "a", "output": "'
        yield from filled(filling, size)
        yield end + b"\n" + row() + b"\n"

    return pieces


def filled(filling: bytes, size: int) -> Iterator[bytes]:
    piece = filling * (STEP // len(filling))
    for _ in range(size // len(piece)):
        yield piece


def only(
    filling: bytes, before: bytes = b"", after: bytes = b""
) -> Callable[[int], Iterator[bytes]]:
    def pieces(size: int) -> Iterator[bytes]:
        yield before
        yield from filled(filling, size)
        yield after

    return pieces


def fixed(data: Callable[[], bytes]) -> Callable[[int], Iterator[bytes]]:
    return lambda size: iter((data(),))


def repeated(count: int) -> Callable[[bytes], Callable[[int], Iterator[bytes]]]:
    return lambda line: lambda size: (line * 1000 for _ in range(count // 1000))


def parquet_of(rows: int, characters: int) -> Callable[[int], Iterator[bytes]]:
    def pieces(size: int) -> Iterator[bytes]:
        import io
        import os

        import pyarrow
        from pyarrow import parquet

        sink = io.BytesIO()
        texts = [os.urandom(characters // 2).hex() for _ in range(rows)]
        table = pyarrow.table({"instruction": ["How?"] * rows, "output": texts})
        parquet.write_table(table, sink, row_group_size=rows)
        yield sink.getvalue()

    return pieces


def astral(size: int) -> bytes:
    """A row whose text takes four times the memory of its bytes."""
    return row(note="\U0001f642").replace(b"\\ud83d\\ude42", "\U0001f642".encode() + b"x" * size)


LAST = row() + b"]"
IN_LINE = 7_900_000  # bytes; just short enough to be read
CASES = (
    Case("a line of 1 GB", "a.jsonl", among_rows(b"x", b'"}'), lambda n: (3, 2, 1)),
    Case("the same, two processes", "a.jsonl", among_rows(b"x", b'"}'), lambda n: (3, 2, 1), 2),
    Case("nothing but a line of 1 GB", "a.jsonl", only(b"x"), lambda n: (1, 0, 1)),
    Case("a line of NUL", "a.jsonl", among_rows(b"\0"), lambda n: (3, 2, 1)),
    Case("a line that is not UTF-8", "a.jsonl", among_rows(b"\xff"), lambda n: (3, 2, 1)),
    Case("carriage returns only", "a.jsonl", only(row() + b"\r"), lambda n: (1, 0, 1)),
    Case("a deep line", "a.jsonl", among_rows(b'{"a":['), lambda n: (3, 2, 1)),
    Case("a line of 1 GB, gzip", "a.jsonl.gz", among_rows(b"x", b'"}'), lambda n: (3, 2, 1)),
    Case("a line of 1 GB, Zstandard", "a.jsonl.zst", among_rows(b"x", b'"}'), lambda n: (3, 2, 1)),
    Case("an element of 1 GB", "a.json", only(b"x", b'[{"instruction": "', b'"}]'), "element 0"),
    Case("a deep array", "a.json", only(b"["), "element 0"),
    Case("an array of NUL", "a.json", only(b"\0", b"["), "element 0"),
    Case("an array of blanks", "a.json", only(b" ", b"["), "in the middle"),
    Case("an array on one line", "a.json", only(row() + b",", b"[", LAST), lambda n: (n, n, 0)),
    Case(
        "an array of small things",
        "a.json",
        fixed(lambda: b"[" + b"1," * 1_000_000 + b"1]"),
        lambda n: (1_000_001, 0, 1_000_001),
    ),
    Case("an array that is cut off", "a.json", only(row() + b",", b"["), "in the middle"),
    Case("blank lines", "a.jsonl", fixed(lambda: b"\n" * 16_000_000), lambda n: (0, 0, 0)),
    Case(
        "lines of a letter",
        "a.jsonl",
        fixed(lambda: b"x\n" * 1_000_000),
        lambda n: (10**6, 0, 10**6),
    ),
    Case(
        "lines of a letter, two processes",
        "a.jsonl",
        fixed(lambda: b"x\n" * 1_000_000),
        lambda n: (10**6, 0, 10**6),
        2,
    ),
    Case(
        "refusals only",
        "a.jsonl",
        repeated(300_000)(row(REFUSAL) + b"\n"),
        lambda n: (300_000, 0, 0),
        options=("--report", "report.html", "--decisions", "decisions"),
    ),
    Case(
        "caveats only",
        "a.jsonl",
        repeated(100_000)(row(CAVEAT) + b"\n"),
        lambda n: (100_000, 100_000, 0),
    ),
    Case(
        "characters beyond the planes",
        "a.jsonl",
        fixed(lambda: (astral(IN_LINE) + b"\n") * 3),
        lambda n: (3, 3, 0),
    ),
    Case(
        "long lines of lists",
        "a.jsonl",
        fixed(
            lambda: (row(x=0).replace(b"0", b"[" + b"[]," * (IN_LINE // 3) + b"[]]") + b"\n") * 3
        ),
        lambda n: (3, 0, 3),
    ),
    Case(
        "lines of objects",
        "a.jsonl",
        fixed(lambda: (row(x=0).replace(b"0", b"[" + b'{"":1},' * 140_000 + b"[]]") + b"\n") * 12),
        lambda n: (12, 12, 0),
    ),
    Case(
        "many turns",
        "a.jsonl",
        fixed(
            lambda: (
                (
                    b'{"messages": ['
                    + b",".join(
                        [b'{"role":"user","content":"a"},{"role":"assistant","content":"b"}']
                        * 15_000
                    )
                    + b"]}\n"
                )
                * 12
            )
        ),
        lambda n: (12, 12, 0),
    ),
    Case("Parquet with long rows", "a.parquet", parquet_of(100, 900_000), lambda n: (100, 100, 0)),
    Case("Parquet with rows that are too long", "a.parquet", parquet_of(4, 20_000_000), "MiB"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    is_bad = False
    for case in CASES:
        if arguments.only not in case.name:
            continue
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            problem = tried(case, Path(folder), arguments.megabytes * 10**6)
        is_bad |= bool(problem)
    return int(is_bad)


def tried(case: Case, folder: Path, size: int) -> str:
    """Filter the file of a case; tell what came of it, and return what is wrong with that."""
    source, elements = written(case, folder, size)
    command = [sys.executable, "-m", "uncensor_operator.cli", "filter", source.name]
    command += ["-o", "out.parquet" if source.suffix == ".parquet" else "out.jsonl"]
    command += ["--quarantine", "quarantine", "--jobs", str(case.jobs), *case.options]
    began = time.monotonic()
    code, told, memory = run(command, folder)
    seconds = time.monotonic() - began
    problem = judged(case, code, told, elements)
    if memory > LIMIT:
        problem += f" {memory:.0f} MB"
    first = " ".join(told.split())[:110]
    print(f"{case.name:36}{source.stat().st_size / 1e6:7.0f} MB{seconds:7.1f} s{memory:6.0f} MB  "
          f"{problem or 'right'}: {first}", flush=True)  # fmt: skip
    return problem


def written(case: Case, folder: Path, size: int) -> tuple[Path, int]:
    """Write the file; return it and how many commas it has, plus one."""
    path = folder / case.file
    commas = 0
    with opened(path) as file:
        for piece in case.pieces(size):
            file.write(piece)
            commas += piece.count(b"},") * (case.file == "a.json")
    return path, commas + 1


def opened(path: Path):
    if path.suffix == ".gz":
        return gzip.open(path, "wb", 1)
    if path.suffix == ".zst":
        import pyarrow

        return pyarrow.CompressedOutputStream(str(path), "zstd")
    return path.open("wb")


def run(command: list[str], folder: Path) -> tuple[int, str, float]:
    """Return the exit code, what was said, and the most MB that any one process had."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as process:
        most = most_megabytes(process)
        return process.returncode, process.communicate()[1], most


def judged(case: Case, code: int, told: str, elements: int) -> str:
    """Return what is wrong; empty when nothing is."""
    if isinstance(case.wanted, str):
        is_right = code == 64 and case.wanted in told and told.startswith("error: ")
        return "" if is_right else f"not refused with {case.wanted!r} (exit code {code})"
    rows, kept, quarantined = case.wanted(elements)
    numbers = [
        int(n.replace(",", "")) for n in re.findall(r"[\d,]+(?=\s+(?:rows|kept|quar))", told)
    ]
    is_right = code == 0 and numbers[:3] == [rows, kept, quarantined]
    return "" if is_right else f"exit code {code}, {numbers[:3]} instead of {case.wanted(elements)}"


if __name__ == "__main__":
    sys.exit(main())
