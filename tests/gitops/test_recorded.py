"""The recorded objects say what the operator's own code would write."""

import pytest

from support.gitops import recorded
from support.recording import FACTS, renewed


@pytest.mark.parametrize("state", FACTS)
def test_recorded_conditions_are_those_of_the_operator(state):
    # After a change of the operator's words: PYTHONPATH=tests python -m support.recording
    assert recorded()[state] == renewed(state)


def test_every_recorded_state_is_known():
    assert set(FACTS) == set(recorded())
