"""Reading manifests needs no heavy library, so that the command line answers at once."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "kopf", "kubernetes", "numpy", "deepspeed", "re2", "hypothesis")


@pytest.mark.parametrize("module", ["reading", "unsupported", "v1alpha1"])
def test_nothing_heavy_is_imported(module):
    code = (
        f"import sys, uncensor_operator.api.{module}\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == "[]"


def test_models_are_immutable_and_built_by_python_names():
    from uncensor_operator.api.v1alpha1 import Training

    training = Training(max_length=64)
    assert training.model_dump(by_alias=True)["maxLength"] == 64
    with pytest.raises(ValueError, match="frozen"):
        training.max_length = 1


def test_a_spec_error_carries_its_problems():
    from uncensor_operator.api.problems import Problem
    from uncensor_operator.errors import SpecError, UncensorError

    problems = (Problem("spec.a", "no", "f.yaml", 3), Problem("", "neither", "g.yaml"))
    error = SpecError(problems)
    assert isinstance(error, UncensorError)
    assert error.problems == problems
    assert str(error) == "f.yaml:3: spec.a: no\ng.yaml: neither"
