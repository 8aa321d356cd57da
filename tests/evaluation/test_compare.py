from statistics import NormalDist

import pytest

from uncensor_trainer.evaluation.compare import compare, mcnemar_exact, opponent


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [
        pytest.param(0, 0, 1.0, id="no difference at all"),
        pytest.param(3, 3, 1.0, id="as many both ways"),
        pytest.param(0, 1, 1.0, id="one pair says nothing"),
        pytest.param(0, 5, 2 / 32, id="five of five"),
        pytest.param(0, 6, 2 / 64, id="six of six"),
        pytest.param(1, 9, 22 / 1024, id="nine of ten"),
        pytest.param(5, 10, 9888 / 32768, id="ten of fifteen"),
        pytest.param(0, 48, 2**-47, id="forty-eight of forty-eight"),
    ],
)
def test_the_p_value_is_the_exact_binomial_sum(first, second, p_value):
    assert mcnemar_exact(first, second) == p_value
    assert mcnemar_exact(second, first) == p_value


def test_many_pairs_agree_with_the_normal_approximation():
    z = (1300 - 1200 - 1) / 2500**0.5
    assert mcnemar_exact(1200, 1300) == pytest.approx(2 * (1 - NormalDist().cdf(z)), rel=1e-2)


def test_only_pairs_that_differ_count():
    filtered = [False, False, True, True, False]
    control = [True, True, True, False, False]
    comparison = compare(filtered, control, "control")
    assert comparison.as_json() == {
        "test": "exact McNemar",
        "against": "control",
        "pValue": 1.0,
        "onlyOther": 2,
        "onlyFiltered": 1,
    }


def test_arms_with_unequal_numbers_of_answers_do_not_compare():
    with pytest.raises(ValueError, match="shorter"):
        compare([True, False], [True], "control")


@pytest.mark.parametrize(
    ("arms", "against"),
    [
        pytest.param(["filtered"], None, id="alone"),
        pytest.param(["filtered", "baseline"], "baseline", id="before training"),
        pytest.param(["filtered", "control", "baseline"], "control", id="control first"),
    ],
)
def test_the_control_arm_is_the_first_to_compare_with(arms, against):
    assert opponent(arms) == against
