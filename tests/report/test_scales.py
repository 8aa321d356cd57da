import pytest

from uncensor_trainer.report import scales


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        pytest.param([1.41, 2.98], (1.0, 1.5, 2.0, 2.5, 3.0), id="a usual loss"),
        pytest.param([0, 10], (0, 2, 4, 6, 8, 10), id="ends on round numbers"),
        pytest.param([0.0011, 0.0019], (0.001, 0.0012, 0.0014, 0.0016, 0.0018, 0.002), id="small"),
    ],
)
def test_an_axis_has_round_ends_that_hold_all_values(values, ticks):
    scale = scales.around(values)

    assert scale.ticks == pytest.approx(ticks)
    assert scale.low <= min(values) <= max(values) <= scale.high


@pytest.mark.parametrize(
    "values", [pytest.param([], id="none"), pytest.param([2.5], id="one"), [0.0, 0.0], [1e-12]]
)
def test_an_axis_without_spread_still_has_a_length(values):
    scale = scales.around(values)

    assert scale.high > scale.low
    assert all(scale.low <= value <= scale.high for value in values)


def test_places_on_an_axis_never_leave_it():
    scale = scales.around([0, 10])

    assert [scale.at(value) for value in (-5, 0, 5, 10, 99)] == [0, 0, 0.5, 1, 1]


def test_labels_have_as_many_digits_as_tell_ticks_apart():
    loss, steps, quarters = scales.around([1.4, 3]), scales.within(1, 4000), scales.of_shares(0.9)

    assert [loss.label(tick) for tick in loss.ticks] == ["1.0", "1.5", "2.0", "2.5", "3.0"]
    assert steps.label(steps.ticks[0]) == "1,000"
    assert len({quarters.label(tick) for tick in quarters.ticks}) == len(quarters.ticks)


def test_steps_have_ticks_of_whole_numbers_only():
    assert scales.within(1, 3).ticks == (1, 2, 3)
    assert scales.within(7, 7).ticks == (7,)


@pytest.mark.parametrize(
    ("largest", "end"), [(0.0, 0.1), (0.05, 0.1), (0.43, 0.6), (0.61, 0.8), (1.0, 1.0)]
)
def test_shares_begin_at_zero_and_end_not_far_above_the_largest(largest, end):
    scale = scales.of_shares(largest)

    assert (scale.low, scale.high) == (0.0, end)
