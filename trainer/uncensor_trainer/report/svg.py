"""Builds SVG elements whose every attribute and text is escaped."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing that is as wide as its place and `height` pixels high.

    Horizontal places are percentages, so that text keeps its size on every screen.

    Attributes:
        body: the elements.
        height: in CSS pixels.
        label: what the drawing says, for those who cannot see it.
    """

    body: Markup
    height: float
    label: str

    def inline(self) -> Markup:
        """Return the figure for a page, which brings the style."""
        return tag(
            "svg",
            self.body,
            class_="chart",
            width="100%",
            height=self.height,
            role="img",
            aria_label=self.label,
        )

    def placed(self, x: float, y: float, width: float) -> Markup:
        """Return the figure as a part of a larger drawing."""
        return tag("svg", self.body, x=x, y=y, width=width, height=self.height, overflow="visible")


def tag(name: str, *children: object, **attributes: Value) -> Markup:
    """Return an element; `class_` and `stroke_width` become `class` and `stroke-width`."""
    inside = Markup("").join(escape(child) for child in children)
    written = Markup("").join(
        Markup(' {}="{}"').format(_attribute(key), _number(value))
        for key, value in attributes.items()
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inside)  # noqa: S704


def _attribute(key: str) -> Markup:
    # SVG has attributes in camel case, such as viewBox; only underscores are translated.
    return Markup(key.rstrip("_").replace("_", "-"))  # noqa: S704 - names come from our code


def _number(value: Value) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def across(share: float) -> str:
    """Return a share (0 to 1) of the width as SVG writes it."""
    return f"{100 * share:.2f}%"
