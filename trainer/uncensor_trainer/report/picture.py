"""picture.svg: the refusal bars and the loss curves for a README, in light and dark."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from uncensor_trainer.report import charts, curves, words
from uncensor_trainer.report.facts import Facts
from uncensor_trainer.report.svg import Figure, tag

WIDTH = 920.0
MARGIN = 32.0
GAP = 48.0
TITLE = 34.0
DASHES = {"filtered": "\u2014", "control": "- -"}  # as the lines are drawn

_TEMPLATES = Path(__file__).with_name("templates")


def picture(facts: Facts) -> str | None:
    """Return the picture as an SVG document; None when there is nothing to draw."""
    titles = words.arm_titles(facts)
    panels: list[tuple[Markup, Figure]] = []
    if facts.evaluation and facts.evaluation.rates:
        bars = charts.refusal_bars(facts.evaluation.rates, titles)
        prompts = words.plural(facts.evaluation.prompts, "prompt")
        panels.append((Markup("Refused, of {} (95 % interval)").format(prompts), bars))
    loss = [curves.curve(one.arm, one.points) for one in facts.training if one.points]
    if loss:
        panels.append((_with_key(loss, titles), charts.loss_curves(loss, titles)))
    return _document(panels) if panels else None


def _with_key(loss: list[curves.Curve], titles: dict[str, str]) -> Markup:
    """Return the heading of the curves; it says which line is whose, as there is no legend."""
    keys = (
        tag("tspan", f"{DASHES[one.arm]} {titles[one.arm]}", class_=f"key arm-{one.arm}", dx=14)
        for one in loss
    )
    return Markup("Training loss{}").format(Markup("").join(keys))


def _document(panels: list[tuple[Markup, Figure]]) -> str:
    width = (WIDTH - 2 * MARGIN - GAP * (len(panels) - 1)) / len(panels)
    height = MARGIN * 2 + TITLE + max(figure.height for _, figure in panels)
    placed = []
    for number, (title, figure) in enumerate(panels):
        left = MARGIN + number * (width + GAP)
        heading = tag("text", title, class_="heading", x=left, y=MARGIN + 14)
        placed.append(heading + figure.placed(left, MARGIN + TITLE, width))
    paper = tag(
        "rect",
        class_="paper",
        x=0.5,
        y=0.5,
        width=WIDTH - 1,
        height=height - 1,
        rx=12,
    )
    document = tag(
        "svg",
        tag("title", " ".join(figure.label for _, figure in panels)),
        tag("style", Markup(_style())),  # noqa: S704 - our own files
        paper,
        *placed,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        width=WIDTH,
        height=height,
        role="img",
    )
    return f"{document}\n"


def _style() -> str:
    names = ("colours.css", "chart.css")
    return "\n".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in names)
