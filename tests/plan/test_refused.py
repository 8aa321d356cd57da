"""A pass of which the API server refuses a step: what it learnt is kept, and people read why."""

import pytest

from support.simulation import Simulation, a_spec
from uncensor_operator.names import Reason
from uncensor_operator.plan.placement import Obstacle

QUOTA = Obstacle(Reason.QUOTA_EXCEEDED, "The quota of the namespace is used up.")


def at_the_end_of(stage):
    sim = Simulation().pass_stages(
        *("fetch", "filter", "prepare")[: ("fetch", "filter").index(stage)]
    )
    sim.settle()
    name = sim.stage(stage)["child"]
    sim.start(name).settle()
    return sim.complete(name)


@pytest.mark.parametrize("stage", ["fetch", "filter"])
def test_a_stage_that_is_done_is_shown_as_done_although_the_next_one_is_refused(stage):
    sim = at_the_end_of(stage)
    sim.refuse(QUOTA)
    assert sim.stage(stage)["state"] == "Succeeded"
    assert sim.condition("Stalled") == ("True", "QuotaExceeded")
    assert sim.message("Stalled") == QUOTA.message


def test_the_refused_attempt_does_not_count_and_is_made_once_it_is_allowed():
    sim = at_the_end_of("fetch")
    sim.refuse(QUOTA)
    assert sim.stage("filter")["attempts"] == 0
    assert not sim.has_child("r-filter-1")
    sim.settle()
    assert sim.has_child("r-filter-1")
    assert sim.condition("Stalled")[0] == "False"


def test_a_hang_is_judged_although_its_child_cannot_be_deleted():
    sim = Simulation(a_spec(runPolicy={"stallTimeoutSeconds": 60}))
    sim.pass_stages("fetch", "filter", "prepare").settle()
    sim.start("r-train-1").settle().wait(100).once()
    sim.refuse(QUOTA)
    assert sim.stage("train")["failures"] == 1
    assert sim.condition("Stalled") == ("True", "QuotaExceeded")
    assert sim.has_child("r-train-1")
    sim.settle()
    assert not sim.has_child("r-train-1")


def test_a_refusal_is_told_once_and_not_at_every_try():
    sim = at_the_end_of("fetch")
    for _ in range(3):
        sim.refuse(QUOTA)
    assert [event.reason for event in sim.events].count(Reason.QUOTA_EXCEEDED) == 1


def test_a_suspended_run_says_what_keeps_it_from_stopping():
    sim = Simulation().settle()
    sim.start("r-fetch-1").settle()
    sim.edit(lambda spec: spec.update(suspend=True))
    sim.refuse(Obstacle(Reason.REFUSED, "The operator may not delete Jobs."))
    assert sim.condition("Stalled") == ("True", "Refused")
