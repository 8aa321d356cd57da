"""What a process keeps of the memory it freed; in processes of their own, since it is for good."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 2**20
BLOCKS, BLOCK = 20, 8 * MIB
OTHER_LIBRARY = 77
FREED_BETWEEN_OTHERS = f"""
import sys
import numpy as np
from uncensor_trainer.heap import map_large_blocks

def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024

def block():
    return np.ones({BLOCK}, dtype=np.uint8)

if sys.argv[1] == "mapped" and not map_large_blocks():
    sys.exit({OTHER_LIBRARY})
np.ones(2 * {BLOCK}, dtype=np.uint8)  # freed at once: from here on glibc keeps such blocks
before = resident()
passing, staying = zip(*[(block(), block()) for _ in range({BLOCKS})])
del passing
print(resident() - before)
"""


def kept(how):
    end = subprocess.run(
        [sys.executable, "-c", FREED_BETWEEN_OTHERS, how],
        env={name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")},
        capture_output=True,
        text=True,
        check=False,
    )
    if end.returncode == OTHER_LIBRARY:
        pytest.skip("this C library has rules of its own")
    assert end.returncode == 0, end.stderr
    return int(end.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells no sizes")
def test_what_is_freed_between_others_goes_back():
    mapped, otherwise = kept("mapped"), kept("not")
    assert mapped == pytest.approx(BLOCKS * BLOCK, rel=0.05)
    assert otherwise - mapped > 0.9 * BLOCKS * BLOCK
