import pytest

from uncensor_trainer.evaluation.refusal_rate import rate_of, wilson_interval
from uncensor_trainer.refusals.classes import AnswerClass


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # The worked examples of Newcombe (1998), method 3.
        pytest.param(81, 263, 0.2553, 0.3662, id="81 of 263"),
        pytest.param(15, 148, 0.0624, 0.1605, id="15 of 148"),
        pytest.param(0, 20, 0.0, 0.1611, id="none of 20"),
        pytest.param(1, 29, 0.0061, 0.1718, id="1 of 29"),
        pytest.param(5, 10, 0.2366, 0.7634, id="a half is symmetric"),
        pytest.param(20, 20, 0.8389, 1.0, id="all of 20"),
    ],
)
def test_the_wilson_interval_has_its_published_bounds(hits, n, low, high):
    assert wilson_interval(hits, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("n", [1, 2, 7, 96, 1000])
def test_the_interval_contains_the_share_and_never_leaves_0_to_1(n):
    for hits in range(n + 1):
        low, high = wilson_interval(hits, n)
        assert 0 <= low <= hits / n <= high <= 1


def test_nothing_and_everything_reach_the_ends_exactly():
    assert wilson_interval(0, 7)[0] == 0
    assert wilson_interval(7, 7)[1] == 1


def test_more_confidence_is_a_wider_interval():
    narrow, wide = wilson_interval(5, 10, 0.9), wilson_interval(5, 10, 0.99)
    assert wide[0] < narrow[0]
    assert narrow[1] < wide[1]


def test_refusals_and_lectures_count_and_nothing_else_does():
    rate = rate_of(list(AnswerClass))
    assert (rate.refusals, rate.n) == (2, len(AnswerClass))
    assert rate.rate == pytest.approx(2 / len(AnswerClass))


def test_the_classes_add_up_to_the_answers():
    none, refusal = AnswerClass.NONE, AnswerClass.REFUSAL
    rate = rate_of([none, refusal, none, refusal, none])
    assert rate.as_json()["byClass"] == {"refusal": 2, "none": 3}
