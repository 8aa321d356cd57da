"""Large tensors in main memory go back to the system when they are freed (ADR 26).

glibc begins with this rule: a block of at least 128 KiB is mapped for itself, and unmapped when it
is freed. But each such block that is freed moves the border up, to 32 MiB at most. From then on
the tensors of a step lie in the heap, between parameters, gradients and moments that stay, and
what is freed there stays with the process. A border that is set stays where it is.
"""

from __future__ import annotations

import ctypes
import sys

# Smaller blocks stay in the heap, which hands them out again without the kernel's zeros. A border
# of 1 MiB saves a little more memory, and costs a tenth of a step's processor time.
MAPPED_BYTES = 4 * 2**20
_M_MMAP_THRESHOLD = -3  # its number in malloc.h


def map_large_blocks() -> bool:
    """Have every block from MAPPED_BYTES on mapped for itself, from now on, in this process.

    Returns:
        Whether the C library did; others than glibc have rules of their own.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES) == 1
