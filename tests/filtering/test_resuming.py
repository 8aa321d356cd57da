import json
import signal
import subprocess
import sys

import pytest

from support.filtering import DISCLAIMER, PLAIN, REFUSAL, lines, row
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering import Job, Policy, filter_files, resuming, sources

# Filters until some pieces are done, then dies as by kill -9.
DYING = """
import os, signal, sys
from pathlib import Path
from uncensor_trainer.filtering import Job, Policy, filter_files, resuming, sources
sources.CHUNK, resuming.EVERY = 3000, 0.0
folder, jobs, pieces = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
left = [pieces]
def die(consumed, tally):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
filter_files(Job(
    (str(folder / "a.jsonl"), str(folder / "b.jsonl")), str(folder / "out.jsonl"), Policy(),
    decisions=folder / "decisions", quarantine=folder / "quarantine",
    report=folder / "report.html", jobs=jobs,
), die)
"""
ANSWERS = (PLAIN, REFUSAL, DISCLAIMER, PLAIN)
OUT = ("out.jsonl", "decisions", "quarantine", "report.html")


def job(folder, jobs=1, **policy):
    return Job(
        (str(folder / "a.jsonl"), str(folder / "b.jsonl")), str(folder / "out.jsonl"),
        Policy(**policy), decisions=folder / "decisions", quarantine=folder / "quarantine",
        report=folder / "report.html", jobs=jobs,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 3000)
    monkeypatch.setattr(resuming, "EVERY", 0.0)
    rows = [row(ANSWERS[n % 4], id=n) for n in range(300)]
    (tmp_path / "a.jsonl").write_bytes(lines(*rows[:200]) + b"{broken\n")
    (tmp_path / "b.jsonl").write_bytes(b"[]\n" + lines(*rows[200:])[:-1])
    return tmp_path


def results(folder):
    return [(folder / name).read_bytes() for name in OUT]


def killed(folder, jobs, pieces):
    command = [sys.executable, "-c", DYING, str(folder), str(jobs), str(pieces)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (folder / "out.jsonl").exists()


@pytest.mark.parametrize(("jobs", "pieces"), [(1, 9), (1, 13), (2, 11)])
def test_a_killed_filter_goes_on_where_it_was(folder, jobs, pieces):
    whole = filter_files(job(folder))
    expected = results(folder)
    for name in OUT:
        (folder / name).unlink()
    killed(folder, jobs, pieces)
    consumed = []
    tally = filter_files(job(folder, jobs), lambda size, tally: consumed.append(size))
    assert results(folder) == expected
    assert tally == whole
    assert consumed[0] > 3000  # what was done is told in one piece
    assert sum(consumed) == sum((folder / n).stat().st_size for n in ("a.jsonl", "b.jsonl"))
    assert sorted(path.name for path in folder.iterdir()) == sorted([*OUT, "a.jsonl", "b.jsonl"])


@pytest.mark.parametrize("change", ["policy", "input", "part"])
def test_what_has_changed_is_done_anew(folder, change):
    killed(folder, 1, 9)
    policy = {"actions": {"refusal": "keep"}} if change == "policy" else {}
    if change == "input":
        (folder / "a.jsonl").write_bytes(lines(row(), row(REFUSAL)))
    if change == "part":
        (folder / ".out.jsonl.part").write_bytes(b"")
    consumed = []
    filter_files(job(folder, **policy), lambda size, tally: consumed.append(size))
    assert consumed[0] <= 3000
    got = results(folder)
    for name in OUT:
        (folder / name).unlink()
    filter_files(job(folder, **policy))
    assert got == results(folder)


HOLDING = """
import sys
from pathlib import Path
from uncensor_trainer.filtering.resuming import Keeper
with Keeper(Path(sys.argv[1]), "x"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_filters_never_write_one_output(folder):
    command = [sys.executable, "-c", HOLDING, str(folder / "out.jsonl")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InvalidInput, match="Another filter"):
            filter_files(job(folder))
        other.communicate()


def test_a_damaged_state_is_no_state(folder):
    killed(folder, 1, 9)
    state = folder / ".out.jsonl.state"
    kept = json.loads(state.read_text())
    state.write_text(json.dumps({**kept, "surprise": 1}))
    filter_files(job(folder))
    assert (folder / "out.jsonl").exists()
