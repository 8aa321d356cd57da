"""What follows a failed attempt: each row of the policy, their order, and extremes."""

import pytest

from uncensor_operator.names import Reason
from uncensor_operator.plan.failure import (
    POLICY,
    Count,
    Failure,
    Limits,
    Verdict,
    backoff,
    decide,
)
from uncensor_operator.plan.pods import Exit

RETRY, GIVE_UP = Verdict.RETRY, Verdict.GIVE_UP
OOM = Exit(137, "OOMKilled")


def a_failure(code=1, *, training=True, **fields):
    values = {"exit": Exit(code, "Error", outcome={"message": "It broke."})} | fields
    return Failure(
        "train" if training else "filter",
        training,
        fields.pop("limits", Limits()),
        **{key: value for key, value in values.items() if key != "limits"},
    )


ROWS = [
    pytest.param(a_failure(disrupted="Evicted"), RETRY, Reason.EVICTED, id="evicted"),
    pytest.param(
        a_failure(disrupted="Evicted", interruptions=50),
        GIVE_UP,
        Reason.RESTARTS_EXHAUSTED,
        id="evicted once too often",
    ),
    pytest.param(a_failure(75), RETRY, Reason.STOPPED, id="told to stop, and saved"),
    pytest.param(
        a_failure(75, interruptions=50),
        GIVE_UP,
        Reason.RESTARTS_EXHAUSTED,
        id="told to stop once too often",
    ),
    pytest.param(
        a_failure(cannot_start="no image"), GIVE_UP, Reason.START_FAILED, id="cannot start"
    ),
    pytest.param(
        a_failure(exit=OOM, micro_batch=8), RETRY, Reason.HALVED_BATCH, id="memory, the first time"
    ),
    pytest.param(
        a_failure(exit=OOM, micro_batch=4, halved=True),
        GIVE_UP,
        Reason.OUT_OF_MEMORY,
        id="memory, the second time",
    ),
    pytest.param(
        a_failure(exit=OOM, micro_batch=1), GIVE_UP, Reason.OUT_OF_MEMORY, id="nothing to halve"
    ),
    pytest.param(
        a_failure(exit=OOM, training=False),
        GIVE_UP,
        Reason.OUT_OF_MEMORY,
        id="memory, in a stage that trains nothing",
    ),
    pytest.param(
        a_failure(exit=Exit(64, outcome={"reason": "OutOfMemory"}), micro_batch=8),
        RETRY,
        Reason.HALVED_BATCH,
        id="the trainer says that memory is out",
    ),
    pytest.param(a_failure(64), GIVE_UP, Reason.INVALID_INPUT, id="the user's fault"),
    pytest.param(
        a_failure(exit=Exit(1, outcome={"code": 64, "message": "Bad."})),
        GIVE_UP,
        Reason.INVALID_INPUT,
        id="the user's fault, told through torchrun",
    ),
    pytest.param(a_failure(76), GIVE_UP, Reason.NUMERIC_FAILURE, id="no finite loss"),
    pytest.param(
        a_failure(70, fruitless=2), GIVE_UP, Reason.NO_PROGRESS, id="nothing saved three times"
    ),
    pytest.param(
        a_failure(70, fruitless=2, progressed=True),
        RETRY,
        Reason.ATTEMPT_FAILED,
        id="saved something this time",
    ),
    pytest.param(
        a_failure(70, fruitless=99, training=False),
        RETRY,
        Reason.ATTEMPT_FAILED,
        id="only trainings must save",
    ),
    pytest.param(a_failure(hanging=1900), RETRY, Reason.HANGING, id="hangs"),
    pytest.param(a_failure(69), RETRY, Reason.SOURCE_UNAVAILABLE, id="no source"),
    pytest.param(a_failure(74), RETRY, Reason.WORKSPACE_FAILURE, id="full volume"),
    pytest.param(a_failure(70), RETRY, Reason.ATTEMPT_FAILED, id="our own bug"),
    pytest.param(
        a_failure(70, failures=3),
        GIVE_UP,
        Reason.BACKOFF_LIMIT_EXCEEDED,
        id="failed once too often",
    ),
    pytest.param(
        a_failure(69, failures=3),
        GIVE_UP,
        Reason.SOURCE_UNAVAILABLE,
        id="no source once too often keeps its own reason",
    ),
    pytest.param(a_failure(exit=None), RETRY, Reason.ATTEMPT_FAILED, id="nobody left to tell"),
]


@pytest.mark.parametrize(("failure", "verdict", "reason"), ROWS)
def test_the_first_matching_rule_decides(failure, verdict, reason):
    decision = decide(failure)
    assert (decision.verdict, decision.reason) == (verdict, reason)


def test_every_rule_of_the_policy_decides_a_row():
    deciding = {
        next(rule.__name__ for rule in POLICY if rule(row.values[0]) is not None) for row in ROWS
    }
    assert deciding == {rule.__name__ for rule in POLICY}


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        pytest.param(a_failure(64, disrupted="Evicted"), Reason.EVICTED, id="cluster over code"),
        pytest.param(
            a_failure(exit=OOM, micro_batch=8, fruitless=9, failures=9),
            Reason.HALVED_BATCH,
            id="memory over counting",
        ),
        pytest.param(
            a_failure(75, cannot_start="no image"), Reason.STOPPED, id="saved over start trouble"
        ),
        pytest.param(a_failure(64, fruitless=9), Reason.INVALID_INPUT, id="input over counting"),
        pytest.param(
            a_failure(70, fruitless=9, failures=9), Reason.NO_PROGRESS, id="progress over limit"
        ),
    ],
)
def test_the_order_of_the_rules_matters(failure, reason):
    assert decide(failure).reason is reason


@pytest.mark.parametrize("failure", [row.values[0] for row in ROWS], ids=[r.id for r in ROWS])
def test_messages_are_sentences_and_final_ones_name_a_remedy(failure):
    decision = decide(failure)
    assert decision.message.endswith(".")
    told = decision.reason in (Reason.INVALID_INPUT, Reason.NUMERIC_FAILURE)
    if decision.verdict is GIVE_UP and not told:  # the trainer's own message names the remedy
        words = ("retry", "Create a run", "Raise", "compute.stages")
        assert any(word in decision.message for word in words)


@pytest.mark.parametrize("failures", [0, 49, 1000, 10**6])
def test_waits_grow_and_stay_below_the_cap_at_any_number(failures):
    limits = Limits(backoff_limit=10**7)
    decision = decide(a_failure(70, failures=failures, progressed=True, limits=limits))
    assert decision.verdict is RETRY
    assert limits.first_seconds <= decision.delay_seconds <= limits.longest_seconds


def test_each_wait_is_twice_the_one_before_up_to_the_cap():
    waits = [backoff(Limits(first_seconds=10, longest_seconds=100), n) for n in range(1, 7)]
    assert waits == [10, 20, 40, 80, 100, 100]


def test_a_full_volume_is_given_more_time():
    assert decide(a_failure(74)).delay_seconds > decide(a_failure(70)).delay_seconds


def test_a_limit_of_no_retries_gives_up_at_once():
    assert decide(a_failure(70, limits=Limits(backoff_limit=0))).verdict is GIVE_UP


def test_only_interruptions_are_free():
    free = {row.id for row in ROWS if decide(row.values[0]).count is Count.INTERRUPTION}
    assert free == {
        "evicted",
        "evicted once too often",
        "told to stop, and saved",
        "told to stop once too often",
    }


def test_the_end_of_the_log_is_told_when_the_trainer_said_nothing():
    decision = decide(a_failure(exit=Exit(137, "Error", "Killed")))
    assert "SIGKILL" in decision.message
    assert "Killed" in decision.message


def test_a_pod_that_never_ran_is_told_with_its_reason():
    decision = decide(a_failure(exit=Exit(-1, "UnexpectedAdmissionError", "No room")))
    assert "UnexpectedAdmissionError" in decision.message
