"""Kubernetes quantities of bytes, such as 80Gi, as whole numbers."""

from __future__ import annotations

import math
import re

_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
}
_PATTERN = re.compile(r"^([0-9]+(?:\.[0-9]+)?)([kMGTP]|[KMGTP]i)?$")


def quantity_bytes(text: str) -> int:
    """Return the bytes that a quantity names.

    Raises:
        ValueError: it is no quantity.
    """
    found = _PATTERN.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no quantity of bytes; wanted such as 64Gi")
    return math.ceil(float(found[1]) * _UNITS[found[2] or ""])


def quantity_of(number: int) -> str:
    """Return bytes as a quantity that people can read: whole Gi or Mi, rounded down."""
    for unit in ("Gi", "Mi", "Ki"):
        if number >= _UNITS[unit]:
            return f"{number // _UNITS[unit]}{unit}"
    return str(number)
