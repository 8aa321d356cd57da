"""The drawings of the report, as SVG that is as wide as its place.

Horizontal places are percentages and text has a fixed size, so one drawing serves a phone and a
wide screen. Colours come from classes (`arm-filtered`, ...) that the page's style defines for
light and dark; every bar and line also has its name in text, and lines differ in their dashes.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from uncensor_trainer.report import scales, words
from uncensor_trainer.report.curves import Curve
from uncensor_trainer.report.facts import Point, Rate
from uncensor_trainer.report.scales import Scale
from uncensor_trainer.report.svg import Figure, Value, across, tag
from uncensor_trainer.report.timeline import Attempt, Timeline

BAR_HEIGHT = 22.0
BAR_ROW = 82.0
PLOT_LEFT = 0.09
PLOT_RIGHT = 0.985
PLOT_HEIGHT = 236.0
PLOT_TOP = 26.0
HOVER_BANDS = 120


def refusal_bars(rates: Sequence[Rate], titles: dict[str, str]) -> Figure:
    """Return a bar with its 95 % interval for each arm, on one axis that begins at 0 %."""
    scale = scales.of_shares(max((rate.high or rate.rate for rate in rates), default=0.0))
    height = BAR_ROW * len(rates) + 24
    parts = [_share_ticks(scale, height - 8)]
    for number, rate in enumerate(rates):
        title = titles.get(rate.arm, rate.arm)
        parts.append(_share_grid(scale, BAR_ROW * number))
        parts.append(_refusal_bar(rate, title, scale, BAR_ROW * number))
    said = "; ".join(f"{titles.get(r.arm, r.arm)}: {rate_words(r)}" for r in rates)
    return Figure(Markup("").join(parts), height, f"Share of prompts refused. {said}.")


def rate_words(rate: Rate) -> str:
    """Return a rate with its counts and interval: `2 % (2 of 96, ...)`."""
    return f"{words.percent(rate.rate)} ({_counted(rate)})"


def _counted(rate: Rate) -> str:
    counted = f"{rate.refusals:,} of {rate.n:,}"
    if rate.low is None or rate.high is None:
        return counted
    # One sign of percent for both ends: `0.6 to 7 %`.
    low = words.percent(rate.low).removesuffix(" %")
    return f"{counted}, 95 % interval {low} to {words.percent(rate.high)}"


def _refusal_bar(rate: Rate, title: str, scale: Scale, top: float) -> Markup:
    bar_top = top + 28
    bar = tag(
        "rect",
        tag("title", f"{title}: {rate_words(rate)}"),
        class_=f"bar arm-{_arm(rate.arm)}",
        x="0",
        y=bar_top,
        width=across(scale.at(rate.rate)),
        height=BAR_HEIGHT,
        data_arm=rate.arm,
    )
    return Markup("").join(
        (
            tag("text", title, class_="name", x="0", y=top + 19),
            tag(
                "text",
                words.percent(rate.rate),
                class_="value",
                x="100%",
                y=top + 19,
                text_anchor="end",
            ),
            bar,
            _whisker(rate, scale, bar_top + BAR_HEIGHT / 2),
            tag("text", _counted(rate), class_="note", x="0", y=bar_top + BAR_HEIGHT + 16),
        )
    )


def _whisker(rate: Rate, scale: Scale, y: float) -> Markup:
    if rate.low is None or rate.high is None:
        return Markup("")
    low, high = across(scale.at(rate.low)), across(scale.at(rate.high))
    lines = ((low, high, y, y), (low, low, y - 6, y + 6), (high, high, y - 6, y + 6))
    # Twice: a wide line in the colour of the paper keeps the thin one visible upon the bar.
    return Markup("").join(
        tag("line", class_=kind, x1=x1, x2=x2, y1=y1, y2=y2)
        for kind in ("halo", "whisker")
        for x1, x2, y1, y2 in lines
    )


def _share_grid(scale: Scale, top: float) -> Markup:
    """Draw the grid beside one bar only, so that no line crosses a text."""
    y = {"y1": top + 25, "y2": top + 31 + BAR_HEIGHT}
    return Markup("").join(
        tag("line", class_="grid" if tick else "axis", x1=x, x2=x, **y)
        for tick in scale.ticks
        for x in (across(scale.at(tick)),)
    )


def _share_ticks(scale: Scale, y: float) -> Markup:
    anchors = {0: "start", len(scale.ticks) - 1: "end"}
    return Markup("").join(
        tag(
            "text",
            f"{100 * tick:g} %",
            class_="tick",
            x=across(scale.at(tick)),
            y=y,
            text_anchor=anchors.get(number, "middle"),
        )
        for number, tick in enumerate(scale.ticks)
    )


def loss_curves(curves: Sequence[Curve], titles: dict[str, str]) -> Figure:
    """Return the losses of all arms: each logged value faint, their average strong."""
    up = scales.around([value for curve in curves for value in curve.framed])
    steps = [point.step for curve in curves for point in curve.points]
    along = scales.within(min(steps, default=0), max(steps, default=1))
    height = PLOT_TOP + PLOT_HEIGHT + 42
    parts = [_loss_axis(up), _step_axis(along)]
    for curve in curves:
        parts.append(_plot(_curve(curve, up, along)))
        parts.append(_dots(curve, up, along))
    parts.append(_hover(curves, along, titles))
    return Figure(Markup("").join(parts), height, _loss_label(curves, titles))


def _loss_label(curves: Sequence[Curve], titles: dict[str, str]) -> str:
    said = [
        f"{titles.get(curve.arm, curve.arm)}: from {words.loss(curve.losses[0])} to "
        f"{words.loss(curve.smooth[-1])} at step {curve.points[-1].step}"
        for curve in curves
        if curve.losses
    ]
    return f"Training loss by optimizer step. {'; '.join(said) or 'No finite loss'}."


def _plot(*children: Markup) -> Markup:
    """Return the frame of the data, 1000 by 1000 units whatever its size on the screen."""
    return tag(
        "svg",
        *children,
        class_="plot",
        x=across(PLOT_LEFT),
        y=PLOT_TOP,
        width=across(PLOT_RIGHT - PLOT_LEFT),
        height=PLOT_HEIGHT,
        viewBox="0 0 1000 1000",
        preserveAspectRatio="none",
    )


def _curve(curve: Curve, up: Scale, along: Scale) -> Markup:
    steps = [point.step for point in curve.points]
    lines = (
        ("raw", [point.loss for point in curve.points]),
        ("smooth", list(curve.smooth)),
    )
    return Markup("").join(
        tag(
            "path",
            class_=f"{kind} arm-{_arm(curve.arm)}",
            d=_path(steps, losses, up, along),
            fill="none",
            vector_effect="non-scaling-stroke",
        )
        for kind, losses in lines
    )


def _path(steps: Sequence[int], losses: Sequence[float | None], up: Scale, along: Scale) -> str:
    """Return path data; the line is broken where a loss is missing."""
    parts: list[str] = []
    is_drawing = False
    for step, loss in zip(steps, losses, strict=True):
        if loss is None:
            is_drawing = False
            continue
        # Above the frame the line leaves it; at() alone would bend it along the edge.
        y = 1000 * (1 - up.at(loss)) if loss <= up.high else -100.0
        parts.append(f"{'L' if is_drawing else 'M'}{1000 * along.at(step):.1f} {y:.1f}")
        is_drawing = True
    return "".join(parts)


def _dots(curve: Curve, up: Scale, along: Scale) -> Markup:
    """Mark a curve of one point, which no line shows, and losses that were not numbers."""
    marks = []
    for point in curve.points:
        x = across(PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * along.at(point.step))
        if point.loss is None:
            title = tag("title", f"step {point.step}: the loss was not a finite number")
            marks.append(
                tag("text", title, "\u00d7", class_="broken", x=x, y=PLOT_TOP - 4),
            )
        elif len(curve.losses) == 1:
            y = PLOT_TOP + PLOT_HEIGHT * (1 - up.at(point.loss))
            marks.append(tag("circle", class_=f"dot arm-{_arm(curve.arm)}", cx=x, cy=y, r=4))
    return Markup("").join(marks)


def _loss_axis(up: Scale) -> Markup:
    parts = [tag("text", "loss, nats per token", class_="tick", x="0", y=13.0)]
    for tick in up.ticks:
        y = PLOT_TOP + PLOT_HEIGHT * (1 - up.at(tick))
        kind = "axis" if tick == up.low else "grid"
        ends = {"x1": across(PLOT_LEFT), "x2": across(PLOT_RIGHT)}
        parts.append(tag("line", class_=kind, y1=y, y2=y, **ends))
        label: dict[str, Value] = {
            "x": across(PLOT_LEFT),
            "dx": -6,
            "y": y + 4,
            "text_anchor": "end",
        }
        parts.append(tag("text", up.label(tick), class_="tick", **label))
    return Markup("").join(parts)


def _step_axis(along: Scale) -> Markup:
    parts = []
    base = PLOT_TOP + PLOT_HEIGHT
    for tick in along.ticks:
        share = along.at(tick)
        x = across(PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * share)
        # The last label would leave the drawing if it stood in the middle of its tick.
        anchor = "end" if share > 0.96 else "middle"  # noqa: PLR2004
        parts.append(tag("line", class_="axis", x1=x, x2=x, y1=base, y2=base + 5))
        parts.append(
            tag("text", f"{tick:,.0f}", class_="tick", x=x, y=base + 19, text_anchor=anchor),
        )
    name: dict[str, Value] = {"x": across(PLOT_RIGHT), "y": base + 37, "text_anchor": "end"}
    return Markup("").join((*parts, tag("text", "optimizer step", class_="tick", **name)))


def _hover(curves: Sequence[Curve], along: Scale, titles: dict[str, str]) -> Markup:
    """Return invisible columns whose titles tell the values below the pointer."""
    by_step: dict[int, list[str]] = {}
    for curve in curves:
        for point, average in zip(curve.points, curve.smooth, strict=True):
            title = titles.get(curve.arm, curve.arm)
            by_step.setdefault(point.step, []).append(_told(title, point, average))
    steps = sorted(by_step)
    chosen = steps[:: max(1, -(-len(steps) // HOVER_BANDS))]
    width = 1000 / max(1, len(chosen))
    return _plot(
        *(
            tag(
                "rect",
                tag("title", "\n".join((f"step {step:,}", *by_step[step]))),
                class_="hover",
                x=max(0.0, 1000 * along.at(step) - width / 2),
                y=0,
                width=width,
                height=1000,
            )
            for step in chosen
        )
    )


def _told(title: str, point: Point, average: float | None) -> str:
    parts = [f"{title}: loss {words.loss(point.loss)}"]
    if average is not None:
        parts.append(f"average {average:.3f}")
    if point.epoch is not None:
        parts.append(f"epoch {point.epoch:.2f}")
    if point.learning_rate is not None:
        parts.append(f"learning rate {point.learning_rate:.2g}")
    return ", ".join(parts)


def attempts_track(attempts: Sequence[Attempt], timeline: Timeline) -> Figure:
    """Return one stage's attempts as bars on the clock of the whole run."""
    whole = max(timeline.busy_seconds, 1e-9)
    parts = [tag("line", class_="track", x1="0", x2="100%", y1=9, y2=9)]
    said = []
    for attempt in attempts:
        start = min(1.0, timeline.clock(attempt.start) / whole)
        share = min(1.0 - start, (timeline.clock(attempt.end) / whole) - start)
        said.append(attempt.told)
        kind = attempt.outcome.replace(" ", "-")
        # At least a mark of two pixels, which `stroke` gives to a bar without width.
        place: dict[str, Value] = {"x": across(start), "width": across(share)}
        title = tag("title", f"{attempt.stage}: {attempt.told}")
        parts.append(tag("rect", title, class_=f"attempt {kind}", y=2, height=14, rx=2, **place))
    return Figure(Markup("").join(parts), 18, "; ".join(said) or "nothing ran")


def _arm(arm: str) -> str:
    """Return the class of an arm; unknown arms look like the baseline."""
    return arm if arm in {"filtered", "control", "baseline"} else "baseline"
