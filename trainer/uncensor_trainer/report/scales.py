"""Scales: where a value lies on an axis, and which values an axis names. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_SHARE_ENDS = (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear axis.

    Attributes:
        low, high: the ends of the axis, low < high.
        ticks: the values named, in order, all within the ends.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Return where a value lies: 0 at the low end, 1 at the high one, never outside."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def label(self, tick: float) -> str:
        """Return a tick with as many digits as tell it from its neighbours."""
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        is_halved = abs(step * 10**digits - round(step * 10**digits)) > 1e-6  # noqa: PLR2004
        return f"{tick:,.{digits + is_halved}f}"


def around(values: Sequence[float], *, num_ticks: int = 5) -> Scale:
    """Return an axis with round ends that holds all values.

    No values, or the same value everywhere, still give an axis of some length.
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    # Below what a 32-bit float tells apart there is nothing to draw but one height.
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - max(0.5, abs(low) / 10), high + max(0.5, abs(high) / 10)
    step = _step((high - low) / num_ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(number * step for number in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def within(low: float, high: float, *, num_ticks: int = 5) -> Scale:
    """Return an axis that ends exactly at `low` and `high`, with round ticks of whole numbers."""
    if high <= low:
        return Scale(low, low + 1, (low,))
    step = max(1.0, _step((high - low) / num_ticks))
    first, last = math.ceil(low / step), math.floor(high / step)
    return Scale(low, high, tuple(number * step for number in range(first, last + 1)))


def of_shares(largest: float) -> Scale:
    """Return an axis for shares (0 to 1) that begins at 0 and ends not far above the largest."""
    high = next((end for end in _SHARE_ENDS if largest <= end), 1.0)
    return Scale(0.0, high, tuple(high * quarter / 4 for quarter in range(5)))


def _step(wanted: float) -> float:
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step * power for step in _STEPS if step * power >= wanted * (1 - 1e-9))
