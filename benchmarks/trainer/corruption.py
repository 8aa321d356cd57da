"""Hundreds of random faults against checkpoints: does a bad one load, does a good one get lost?

Run as: .venv/bin/python benchmarks/trainer/corruption.py [--faults 240] [--seed 1]

Each round begins with two good checkpoints and does one of these to them:
* a save that is killed, or gets the error of a full or read-only disk, at a random file operation;
* a save onto a real file system (tmpfs) that is too small for it, or that is mounted read-only
  (only as root, who may mount);
* a truncation, a turned bit, a tail of zeros or a missing file in the newest checkpoint.

Then a new attempt looks for the checkpoint to go on from, reads every number of it and compares
it with what was saved; and saves again, as training would. A resume is bad when a number differs
or nothing is found. A good checkpoint is lost when an older one is taken although a newer one had
been committed and not damaged.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.faults import (  # noqa: E402
    DAMAGE,
    FAULTS,
    KILL,
    NEVER,
    loaded,
    save,
    save_with_fault,
)
from uncensor_trainer import saving  # noqa: E402
from uncensor_trainer.checkpoints import Checkpoints  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "trainer-corruption.json"
OLD, NEW, NEXT = 2, 3, 4  # steps: the newest at first, the save that is disturbed, the one after
CHECKPOINT_BYTES = 42_000  # of 5,000 float32 weights and as many moments, with page rounding
REAL_FULL, REAL_READ_ONLY = "small file system", "read-only mount"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        campaign = Campaign(Path(scratch), random.Random(arguments.seed))  # noqa: S311
        for number in range(arguments.faults):
            campaign.round(number)
    result = {
        "command": f"python benchmarks/trainer/corruption.py --faults {arguments.faults}"
        f" --seed {arguments.seed}",
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "seconds": round(time.monotonic() - began, 1),
        "operationsOfOneSave": campaign.operations,
        **campaign.summary(),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    sys.exit(bool(result["badResumes"] or result["lostGoodCheckpoints"]))


class Campaign:
    """The rounds, and what came of them."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self._folder = folder
        self._chance = chance
        self._two = self._with_two(folder / "two")
        whole = self._copy(folder / "whole")
        end, self.operations = save_with_fault(whole, NEW, at=NEVER, fault=KILL)
        _expect(end, "done")
        self._kinds = [*FAULTS, *DAMAGE]
        self._kinds += [REAL_FULL, REAL_READ_ONLY] if os.geteuid() == 0 else []
        self._ends: dict[str, Counter[str]] = {kind: Counter() for kind in self._kinds}
        self._bad: list[str] = []
        self._lost: list[str] = []

    def round(self, number: int) -> None:
        kind = self._kinds[number % len(self._kinds)]
        folder = self._folder / f"round-{number}"
        with self._mounted(folder, kind):
            checkpoints = self._copy(folder / "checkpoints")
            wanted = self._disturb(checkpoints, kind)
            self._judge(checkpoints, f"{number} {kind}", kind, wanted)
        shutil.rmtree(folder)

    def summary(self) -> dict[str, Any]:
        return {
            "faults": sum(ends.total() for ends in self._ends.values()),
            "wentOnFrom": {kind: dict(ends) for kind, ends in self._ends.items()},
            "badResumes": len(self._bad),
            "lostGoodCheckpoints": len(self._lost),
            "examples": self._bad[:5] + self._lost[:5],
        }

    def _disturb(self, checkpoints: Checkpoints, kind: str) -> int:
        """Do the fault; return the newest step that must not be lost."""
        if kind in DAMAGE:
            files = sorted((checkpoints.folder / f"step-{OLD}").iterdir())
            DAMAGE[kind](self._chance.choice(files), self._chance)
            return OLD - 1
        if kind in FAULTS:
            at = self._chance.randrange(self.operations)
            end, _ = save_with_fault(checkpoints, NEW, at=at, fault=FAULTS[kind])
        else:
            end = self._save_on_a_bad_disk(checkpoints, kind)
        _expect(end, "done", "refused", "killed")
        return NEW if end == "done" else OLD

    def _save_on_a_bad_disk(self, checkpoints: Checkpoints, kind: str) -> str:
        mount = checkpoints.folder.parent
        if kind == REAL_READ_ONLY:
            _mount("-o", "remount,ro", mount)
            end, _ = save_with_fault(checkpoints, NEW, at=NEVER, fault=KILL)
            _mount("-o", "remount,rw", mount)
            return end
        # Somebody else fills the disk after the check before the save; a random rest is free.
        free = shutil.disk_usage(mount).free
        left = self._chance.randrange(2 * CHECKPOINT_BYTES)
        (mount / "filler").write_bytes(bytes(free - left))
        check, saving.refuse_full_disk_now = saving.refuse_full_disk_now, _no_check
        end, _ = save_with_fault(checkpoints, NEW, at=NEVER, fault=KILL)
        saving.refuse_full_disk_now = check
        (mount / "filler").unlink()
        return end

    def _judge(self, checkpoints: Checkpoints, name: str, kind: str, wanted: int) -> None:
        checkpoints.clean()
        found, _ = checkpoints.newest_verified()
        if found is None or not loaded(found.folder, found.step):
            self._bad.append(name)
            return
        if found.step < wanted:
            self._lost.append(name)
        self._ends[kind][{NEW: "the new one", OLD: "the old one"}.get(found.step, "older")] += 1
        save(checkpoints, NEXT)
        again, _ = checkpoints.newest_verified()
        if again is None or again.step != NEXT:
            self._lost.append(f"{name}, save after it")

    def _with_two(self, folder: Path) -> Path:
        folder.mkdir()
        for step in (OLD - 1, OLD):
            save(Checkpoints(folder, digest="d", keep_latest=2), step)
        return folder

    def _copy(self, folder: Path) -> Checkpoints:
        return Checkpoints(shutil.copytree(self._two, folder), digest="d", keep_latest=2)

    @contextlib.contextmanager
    def _mounted(self, folder: Path, kind: str) -> Iterator[None]:
        folder.mkdir()
        if kind not in (REAL_FULL, REAL_READ_ONLY):
            yield
            return
        _mount("-t", "tmpfs", "-o", "size=2m", "none", folder)
        try:
            yield
        finally:
            subprocess.run(["umount", folder], check=True)


def _expect(end: str, *wanted: str) -> None:
    if end not in wanted:
        raise RuntimeError(f"a save ended with {end}")


def _no_check(folder: Path, size: int) -> None:
    """The check before a save, which would see the full disk at once."""


def _mount(*arguments: Any) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
