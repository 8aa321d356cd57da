"""Text must be readable in both schemes: a contrast of 4.5, as WCAG 2 counts it."""

import re
from importlib.resources import files

import pytest

CSS = (files("uncensor_trainer.report") / "templates" / "colours.css").read_text()


def scheme(name):
    light, dark = CSS.split("@media", 1)
    found = re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", dark if name == "dark" else light)
    return dict(found)


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("paper", ["paper", "page"])
@pytest.mark.parametrize("ink", ["ink", "muted", "filtered", "control", "baseline", "good", "bad"])
def test_text_is_readable(name, paper, ink):
    colours = scheme(name)

    assert contrast(colours[ink], colours[paper]) >= 4.5


@pytest.mark.parametrize("name", ["light", "dark"])
def test_highlighted_words_are_readable(name):
    colours = scheme(name)

    assert contrast(colours["mark-ink"], colours["mark"]) >= 4.5
