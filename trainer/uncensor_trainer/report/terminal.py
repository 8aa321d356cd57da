"""Refusal rates as bars of characters, for the end of a run in a terminal.

The command line imports this module: the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WIDTH = 32
_EIGHTHS = " \u258f\u258e\u258d\u258c\u258b\u258a\u2589"
_FULL = "\u2588"
_SHADE = "\u2591"
_ORDER = ("filtered", "control", "baseline")


def bars(refusal: Mapping[str, Any]) -> str:
    """Return a bar for each arm of evaluation/refusal.json; empty when there is nothing to draw.

    The solid part is the rate, the shaded part reaches to the upper end of its 95 % interval.
    """
    arms = refusal.get("arms")
    if not isinstance(arms, Mapping):
        return ""
    known = {name: arm for name, arm in arms.items() if _is_measured(arm)}
    if not known:
        return ""
    names = sorted(known, key=lambda name: (_rank(name), name))
    label = max(len(name) for name in names)
    counted = max(len(_counted(known[name])) for name in names)
    lines = ["Refused prompts (shaded: up to the end of the 95 % interval; full width 100 %)"]
    for name in names:
        arm = known[name]
        numbers = f"{_percent(arm['rate']):>6}  {_counted(arm):>{counted}}{_interval(arm)}"
        lines.append(f"  {name:<{label}}  {_bar(arm)}  {numbers}")
    return "\n".join(lines)


def _is_measured(arm: object) -> bool:
    return isinstance(arm, Mapping) and all(
        isinstance(arm.get(key), int | float) for key in ("refusals", "n", "rate")
    )


def _rank(name: str) -> int:
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _bar(arm: Mapping[str, Any]) -> str:
    rate = min(1.0, max(0.0, float(arm["rate"])))
    eighths = round(rate * WIDTH * 8)
    solid = _FULL * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    high = arm.get("high")
    reach = round(min(1.0, float(high)) * WIDTH) if isinstance(high, int | float) else 0
    return (solid + _SHADE * (reach - len(solid))).ljust(WIDTH)


def _percent(share: float) -> str:
    value = 100 * share
    is_near_end = 0 < value < 1 or 99 < value < 100  # noqa: PLR2004
    return f"{value:.1f} %" if is_near_end else f"{value:.0f} %"


def _counted(arm: Mapping[str, Any]) -> str:
    return f"{arm['refusals']} of {arm['n']}"


def _interval(arm: Mapping[str, Any]) -> str:
    low, high = arm.get("low"), arm.get("high")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return ""
    return f"  ({_percent(low).removesuffix(' %')} to {_percent(high)})"
