"""The rate behind the counted one: by hand, at its ends, and how often its interval is right."""

import numpy as np
import pytest

from uncensor_trainer.evaluation.corrected import Judge, corrected, judge

PERFECT = Judge(hits=10**6, misses=0, alarms=0, passes=10**6)
GOOD = Judge(hits=90, misses=10, alarms=5, passes=95)


def test_a_perfect_judge_corrects_nothing():
    assert corrected(30, 100, PERFECT).rate == pytest.approx(0.3)


def test_the_rate_is_that_of_rogan_and_gladen():
    # (0.4 + 0.95 - 1) / (0.9 + 0.95 - 1)
    assert corrected(40, 100, GOOD).rate == pytest.approx(0.35 / 0.85)


@pytest.mark.parametrize(("refusals", "rate"), [(0, 0.0), (3, 0.0), (100, 1.0)])
def test_the_corrected_rate_stays_between_0_and_1(refusals, rate):
    found = corrected(refusals, 100, GOOD)
    assert found.rate == rate
    assert 0 <= found.low <= found.rate <= found.high <= 1


def test_a_judge_known_from_few_answers_gives_a_wider_interval():
    few = Judge(hits=9, misses=1, alarms=1, passes=19)
    many = Judge(hits=900, misses=100, alarms=100, passes=1900)
    wide, narrow = corrected(40, 100, few), corrected(40, 100, many)
    assert wide.high - wide.low > narrow.high - narrow.low


@pytest.mark.parametrize("truth", [0.02, 0.2, 0.5])
def test_the_interval_holds_the_true_rate_about_as_often_as_it_says(truth):
    dice = np.random.default_rng(3)
    held = 0
    for _ in range(1000):
        hits, alarms = dice.binomial(150, 0.85), dice.binomial(200, 0.04)
        by = Judge(int(hits), 150 - int(hits), int(alarms), 200 - int(alarms))
        counted = dice.binomial(96, truth * 0.85 + (1 - truth) * 0.04)
        found = corrected(int(counted), 96, by)
        held += found.low <= truth <= found.high
    assert held >= 930


def test_the_committed_judge_is_measured_on_many_answers_and_far_better_than_a_coin():
    by = judge()
    assert by.hits + by.misses > 300
    assert by.alarms + by.passes > 500
    assert by.sensitivity > 0.7
    assert by.specificity > 0.9
