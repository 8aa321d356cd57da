import pytest

from uncensor_operator.cli import words


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (100_800, "1 d 4 h"),
    ],
)
def test_durations(seconds, wanted):
    assert words.duration(seconds) == wanted


@pytest.mark.parametrize(
    ("num_bytes", "wanted"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (812 * 2**20, "812 MiB"), (2**41, "2.0 TiB")],
)
def test_sizes(num_bytes, wanted):
    assert words.size(num_bytes) == wanted


@pytest.mark.parametrize(
    ("share", "wanted"), [(0, "0 %"), (0.0208, "2.1 %"), (0.43, "43 %"), (1, "100 %")]
)
def test_percents(share, wanted):
    assert words.percent(share) == wanted


@pytest.mark.parametrize(
    ("number", "wanted"),
    [(999, "999"), (12_345, "12.3 k"), (134_515_008, "134.5 M"), (6.7e9, "6.7 G")],
)
def test_counts(number, wanted):
    assert words.count(number) == wanted
