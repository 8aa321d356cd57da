import pytest

from uncensor_trainer.report import words


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0 %"),
        (0.004, "0.4 %"),
        (0.0208, "2 %"),
        (0.427, "43 %"),
        (0.996, "99.6 %"),
        (1.0, "100 %"),
    ],
)
def test_some_is_never_nothing_and_most_is_never_all(share, shown):
    assert words.percent(share) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.44, "9.4 s"),
        (59.6, "1 min 0 s"),
        (122.5, "2 min 2 s"),
        (3600, "1 h 0 min"),
        (90_000, "1 d 1 h"),
        (-3, "0.0 s"),
    ],
)
def test_durations_have_two_units(seconds, shown):
    assert words.duration(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(540.4, "540"), (148_000, "148.0 k"), (134_515_008, "134.5 M")]
)
def test_large_numbers_are_short(number, shown):
    assert words.short_number(number) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(1e-9, "p < 0.001"), (0.0123, "p = 0.012"), (1.0, "p = 1")]
)
def test_p_values_have_the_digits_that_mean_something(value, shown):
    assert words.p_value(value) == shown


@pytest.mark.parametrize(
    ("num_bytes", "shown"), [(731, "731 B"), (71_377, "69.7 KiB"), (5 * 2**30, "5.0 GiB")]
)
def test_sizes_have_a_unit_that_keeps_them_short(num_bytes, shown):
    assert words.size(num_bytes) == shown
