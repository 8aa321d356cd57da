"""Numbers as people read them."""

from __future__ import annotations

MINUTE = 60
HOUR = 3600
DAY = 86400


def duration(seconds: float) -> str:
    """Return "48 s", "3 min 20 s", "2 h 5 min" or "1 d 4 h"."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def size(num_bytes: float) -> str:
    """Return "812 MiB" or "1.5 GiB": powers of 1024, as Kubernetes counts."""
    value = float(num_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:  # noqa: PLR2004
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"  # noqa: PLR2004
        value /= 1024
    return f"{value:.1f} TiB"


def percent(share: float) -> str:
    """Return "43 %", and one digit after the point below ten."""
    value = 100 * share
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"  # noqa: PLR2004


def count(number: float) -> str:
    """Return "134.5 M", "1.2 k" or the number itself."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= limit:
            divisor = 1e3 if unit == "k" else limit
            return f"{number / divisor:.1f} {unit}"
    return f"{number:.0f}"
