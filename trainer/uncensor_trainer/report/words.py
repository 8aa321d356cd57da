"""The words of the report: names of arms, classes, rules and actions, and numbers for people."""

from __future__ import annotations

from uncensor_trainer.report.facts import Facts

CLASS_MEANINGS = {
    "refusal": "declines, and gives nothing of what was asked",
    "partial": "declines or lectures, and gives some of what was asked all the same",
    "moralise": "lectures instead of answering",
    "placeholder": "is empty or a mark such as [filtered]",
    "capability": "cannot rather than will not: no browsing, an input is missing, asks back",
    "disclaimer": "puts a caveat about being a model in front of a full answer",
    "identity": "answers a question about the assistant itself",
    "none": "answers; none of the other classes",
}
ACTION_WORDS = {
    "drop": "dropped",
    "cut": "kept in part",
    "drop-turn": "kept in part",
    "strip": "caveat cut out",
    "keep": "kept",
}
ACTION_MEANINGS = {
    "drop": "the row is left out of training",
    "cut": "the conversation ends before the question; a row of one answer is left out",
    "drop-turn": "the question goes with its answer; a row of one answer is left out",
    "strip": "the caveat is cut out, the answer stays",
    "keep": "the row stays as it is",
}
MODE_MEANINGS = {
    "enforce": "The filter acted on what it found.",
    "audit": "The filter only marked rows (mode audit): every readable row stayed in training.",
    "off": "The filter was off: nothing was looked at, every readable row stayed in training.",
}
# What the refusal rate counts; the other classes are neither refusals nor plain answers.
REFUSING = {"refusal", "moralise"}


def arm_titles(facts: Facts) -> dict[str, str]:
    """Return the name of each arm; without an acting filter nothing is `filtered`."""
    acts = facts.run.filter.mode == "enforce"
    return {
        "filtered": "Filtered model" if acts else "Trained model",
        "control": "Control, no filter" if acts else "Control",
        "baseline": "Before training",
    }


def percent(share: float) -> str:
    """Return a share (0 to 1) as a percentage; some is never 0 %, and not all never 100 %."""
    value = 100 * share
    is_near_end = 0 < value < 1 or 99 < value < 100  # noqa: PLR2004
    return f"{value:.1f} %" if is_near_end else f"{value:.0f} %"


def p_value(value: float) -> str:
    """Return a p-value with as many digits as mean something."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"  # noqa: PLR2004


def duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds < 10:  # noqa: PLR2004
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for size, unit, small, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small} {smaller}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"  # noqa: PLR2004


def size(num_bytes: int) -> str:
    """Return bytes in the unit that keeps the number short."""
    value = float(num_bytes)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:  # noqa: PLR2004
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def short_number(value: float) -> str:
    """Return a number in three digits: 134.5 M, 12.9 k, 540."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.1f} {unit}"
    return f"{value:,.0f}"


def loss(value: float | None) -> str:
    """Return a loss to the third digit behind the point."""
    return "not finite" if value is None else f"{value:.3f}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return `1 row` or `2 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
