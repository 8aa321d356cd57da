import pytest

from uncensor_trainer.report.curves import MOST_POINTS, curve, smoothed
from uncensor_trainer.report.facts import Point


def points(*losses):
    return [Point(step, loss, None, None, None) for step, loss in enumerate(losses, start=1)]


def test_a_constant_loss_stays_where_it_is_from_the_first_step():
    assert smoothed([2.0] * 50) == pytest.approx([2.0] * 50)


def test_the_average_is_calmer_than_the_losses():
    losses = [2.0 + (-1) ** step * 0.5 for step in range(100)]

    late = smoothed(losses)[50:]

    assert max(late) - min(late) < 0.2


def test_losses_that_are_not_finite_are_reported_and_leave_the_average_alone():
    drawn = curve("filtered", points(None, 2.0, None, 2.0))

    assert drawn.broken == (1, 3)
    assert drawn.smooth == (None, 2.0, 2.0, 2.0)
    assert drawn.losses == (2.0, 2.0)


def test_a_long_run_is_thinned_but_keeps_its_first_and_last_step():
    drawn = curve("filtered", points(*[1.0] * 5000))

    assert len(drawn.points) == MOST_POINTS
    assert (drawn.points[0].step, drawn.points[-1].step) == (1, 5000)


def test_one_spike_does_not_decide_the_frame():
    drawn = curve("filtered", points(*[2.0] * 99, 4000.0, *[2.0] * 100))

    assert drawn.top == 2.0


@pytest.mark.parametrize("losses", [[], [None, None]], ids=["empty", "nothing finite"])
def test_a_curve_without_finite_losses_frames_nothing(losses):
    assert curve("filtered", points(*losses)).framed == ()
