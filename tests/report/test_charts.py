import re
from xml.etree import ElementTree

import pytest

from uncensor_trainer.report import charts
from uncensor_trainer.report.curves import curve
from uncensor_trainer.report.facts import Point, Rate
from uncensor_trainer.report.timeline import Attempt, StageLine, Timeline

TITLES = {"filtered": "Filtered model", "control": "Control"}


def a_rate(arm="filtered", refusals=2, n=96, low=0.006, high=0.073):
    return Rate(arm, refusals, n, refusals / n, low, high, {})


def parsed(figure):
    return ElementTree.fromstring(str(figure.inline()))  # noqa: S314 - our own output


def elements(figure, name, kind=""):
    found = (e for e in parsed(figure).iter(name))
    return [e for e in found if kind in e.get("class", "").split() or not kind]


def bars(figure):
    return {bar.get("data-arm"): float(bar.get("width")[:-1]) for bar in elements(figure, "rect")}


def a_curve(*losses, arm="filtered"):
    return curve(arm, [Point(s, loss, s / 10, 1e-4, None) for s, loss in enumerate(losses, 1)])


def test_bars_are_as_long_as_their_rates():
    figure = charts.refusal_bars(
        [a_rate(refusals=12), a_rate("control", refusals=48, low=0.4, high=0.6)], TITLES
    )

    widths = bars(figure)

    assert widths["control"] / widths["filtered"] == pytest.approx(4, rel=1e-3)
    # The axis ends at 60 %, so a rate of 50 % fills five sixths.
    assert widths["control"] == pytest.approx(100 * 50 / 60, abs=0.01)


def test_bars_say_everything_in_words_too():
    figure = charts.refusal_bars([a_rate()], TITLES)

    assert "Filtered model: 2 % (2 of 96, 95 % interval 0.6 to 7 %)" in figure.label
    assert parsed(figure).get("aria-label") == figure.label
    assert [e.text for e in elements(figure, "text", "value")] == ["2 %"]


def test_a_rate_without_an_interval_has_no_whisker():
    figure = charts.refusal_bars([a_rate(low=None, high=None)], TITLES)

    assert elements(figure, "line", "whisker") == []
    assert "interval" not in figure.label


def test_an_interval_lies_where_its_ends_are():
    figure = charts.refusal_bars([a_rate(refusals=20, low=0.15, high=0.3)], TITLES)

    across = elements(figure, "line", "whisker")[0]

    assert (across.get("x1"), across.get("x2")) == ("37.50%", "75.00%")


def test_no_rates_draw_an_empty_axis():
    assert bars(charts.refusal_bars([], TITLES)) == {}


def test_names_are_escaped():
    figure = charts.refusal_bars([a_rate(arm='<b>"&')], {})

    assert '<b>"&' in [e.text for e in elements(figure, "text", "name")]


def test_both_arms_have_a_raw_and_a_smooth_line():
    figure = charts.loss_curves([a_curve(3, 2, 1), a_curve(3, 2.5, 2, arm="control")], TITLES)

    kinds = [e.get("class") for e in elements(figure, "path")]

    assert kinds == [
        "raw arm-filtered",
        "smooth arm-filtered",
        "raw arm-control",
        "smooth arm-control",
    ]


def test_the_highest_loss_is_at_the_top_and_the_last_step_at_the_right():
    raw = elements(charts.loss_curves([a_curve(3.0, 2.0, 1.0)], TITLES), "path", "raw")[0]

    places = [tuple(map(float, p.split())) for p in re.split("[ML]", raw.get("d"))[1:]]

    assert places == [(0, 0), (500, 500), (1000, 1000)]


def test_a_loss_that_is_not_finite_breaks_the_line_and_is_marked():
    figure = charts.loss_curves([a_curve(3, None, 2, 1)], TITLES)

    assert elements(figure, "path", "raw")[0].get("d").count("M") == 2
    titles = [e.find("title").text for e in elements(figure, "text", "broken")]
    assert titles == ["step 2: the loss was not a finite number"]


def test_a_single_step_is_a_dot():
    figure = charts.loss_curves([a_curve(2.0)], TITLES)

    assert [e.get("class") for e in elements(figure, "circle")] == ["dot arm-filtered"]


@pytest.mark.parametrize("losses", [[], [None]], ids=["no steps", "nothing finite"])
def test_curves_without_losses_are_drawn_as_an_empty_frame(losses):
    figure = charts.loss_curves([a_curve(*losses)], TITLES)

    assert "No finite loss" in figure.label
    assert "nan" not in str(figure.body).lower()


def test_hovering_tells_the_values_of_both_arms():
    figure = charts.loss_curves([a_curve(3, 2), a_curve(3, 2.5, arm="control")], TITLES)

    told = [e.find("title").text for e in elements(figure, "rect", "hover")]

    assert told[1].splitlines() == [
        "step 2",
        "Filtered model: loss 2.000, average 2.000, epoch 0.20, learning rate 0.0001",
        "Control: loss 2.500, average 2.500, epoch 0.20, learning rate 0.0001",
    ]


def test_a_long_run_has_a_bounded_number_of_hover_columns():
    figure = charts.loss_curves([a_curve(*[2.0] * 3000)], TITLES)

    assert len(elements(figure, "rect", "hover")) <= charts.HOVER_BANDS


def test_attempts_are_as_wide_as_their_share_of_the_work():
    attempts = (Attempt("train", 0, 25, "stopped"), Attempt("train", 25, 100, "finished"))
    line = StageLine("train", "complete", attempts, 0)
    timeline = Timeline((line,), 100.0, 0.0, lambda time: time)

    drawn = elements(charts.attempts_track(attempts, timeline), "rect")

    assert [(e.get("x"), e.get("width")) for e in drawn] == [
        ("0.00%", "25.00%"),
        ("25.00%", "75.00%"),
    ]
    assert drawn[0].get("class") == "attempt stopped"
