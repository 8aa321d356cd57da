import json
import math

import pytest

from uncensor_trainer.loss_watch import ENOUGH, IN_A_ROW, MAX_ROLL_BACKS, LossWatch, Verdict

FINE, IN_DOUBT, BROKEN = Verdict.FINE, Verdict.IN_DOUBT, Verdict.BROKEN


def calm(*, steps=ENOUGH, **settings):
    """Return a watch that has seen losses between 1.9 and 2.1, and the next step."""
    watch = LossWatch(fp16=False, **settings)
    for step in range(1, steps + 1):
        assert watch.judge(step, 2.0 + 0.1 * (-1) ** step, 1.0) is FINE
    return watch, steps + 1


def verdicts(watch, first, losses):
    return [watch.judge(first + n, loss, 1.0) for n, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("losses", "wanted"),
    [
        pytest.param([2.3, 2.5, 2.4], [FINE] * 3, id="noise"),
        pytest.param([9.0, 2.0, 9.0, 2.0], [IN_DOUBT, FINE] * 2, id="single bad batches"),
        pytest.param([9.0, 9.5, 9.9], [IN_DOUBT, IN_DOUBT, BROKEN], id="a divergence"),
        pytest.param([math.nan], [BROKEN], id="no number"),
        pytest.param([0.1, 0.1], [FINE] * 2, id="far below is no harm"),
    ],
)
def test_a_step_is_judged_by_the_losses_before(losses, wanted):
    watch, step = calm()
    assert verdicts(watch, step, losses) == wanted


def test_the_first_steps_have_nothing_to_compare_with():
    watch = LossWatch(fp16=False)
    falling = [11.0, 8.0, 12.0, 6.0, 9.0, 5.0]
    assert verdicts(watch, 1, falling) == [FINE] * len(falling)


def test_a_gradient_that_is_no_number_breaks_a_step_of_fine_loss():
    watch, step = calm()
    assert watch.judge(step, 2.0, math.inf) is BROKEN


def test_equal_losses_leave_room_for_noise():
    watch = LossWatch(fp16=False)
    assert verdicts(watch, 1, [2.0] * ENOUGH) == [FINE] * ENOUGH
    assert verdicts(watch, ENOUGH + 1, [2.9, 3.1]) == [FINE, IN_DOUBT]


def test_bad_losses_do_not_become_the_measure():
    watch, step = calm()
    for round_ in range(MAX_ROLL_BACKS):
        first = step + IN_A_ROW * round_
        assert verdicts(watch, first, [9.0] * IN_A_ROW)[-1] is BROKEN
        assert watch.first_bad == first
        assert watch.may_go_back
        watch.went_back(5, first + IN_A_ROW - 1)
        assert not watch.in_doubt
    assert not watch.may_go_back
    assert watch.roll_backs == [(5, 19), (5, 22), (5, 25)]


def test_a_resumed_watch_judges_as_if_it_had_not_stopped():
    watch, step = calm()
    watch.judge(step, 9.0, 1.0)
    watch.judge(step + 1, 9.0, 1.0)
    resumed = LossWatch(fp16=False)
    resumed.restore(json.loads(json.dumps(watch.state())))
    assert resumed.in_doubt
    assert resumed.judge(step + 2, 9.0, 1.0) is BROKEN
    assert resumed.first_bad == step
