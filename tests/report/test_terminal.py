import subprocess
import sys

import pytest

from uncensor_trainer.report.terminal import WIDTH, bars

FULL = "\u2588"


def an_arm(refusals, n=96, **more):
    return {"refusals": refusals, "n": n, "rate": refusals / n, **more}


def test_bars_are_as_long_as_their_rates_and_shaded_to_the_interval():
    lines = bars(
        {
            "arms": {
                "control": an_arm(48, low=0.4, high=0.6),
                "filtered": an_arm(0, low=0.0, high=0.04),
            }
        }
    ).splitlines()

    filtered, control = lines[1:]
    assert control.count(FULL) == WIDTH // 2
    assert control.count("\u2591") == round(0.6 * WIDTH) - WIDTH // 2
    assert filtered.count(FULL) == 0
    assert filtered.strip().startswith("filtered")
    assert control.endswith("50 %  48 of 96  (40 to 60 %)")


def test_columns_line_up():
    lines = bars({"arms": {"filtered": an_arm(1), "baseline": an_arm(96)}}).splitlines()[1:]

    assert len({line.index("%") for line in lines}) == 1


@pytest.mark.parametrize(
    "refusal",
    [{}, {"arms": None}, {"arms": {}}, {"arms": {"filtered": {"rate": "high"}}}],
    ids=["empty", "null", "no arms", "no numbers"],
)
def test_nothing_measured_draws_nothing(refusal):
    assert bars(refusal) == ""


def test_the_command_line_gets_it_without_torch_and_jinja():
    code = (
        "import sys; import uncensor_trainer.report.terminal; "
        "print(sorted({'torch', 'jinja2', 'numpy', 'pydantic'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
