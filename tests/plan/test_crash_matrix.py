"""The operator is killed at every step that it carries out; nothing is lost or done twice.

The points are enumerated from a recorded run: for each pass of it, the process dies after each of
its steps, before the status is written. The run must then come to the end of the undisturbed one.
"""

import copy

import pytest

from support.driving import Driver, badly, nothing, timeless
from support.simulation import Simulation, a_spec


def plain():
    return Driver(Simulation())


def control_arm():
    return Driver(Simulation(a_spec(training={"control": True})))


def failures():
    return Driver(
        Simulation(),
        {
            "r-fetch-1": badly(69, message={"outcome": "failed", "message": "Not found."}),
            "r-train-1": badly(137, reason="OOMKilled"),
            "r-train-2": badly(75, message={"outcome": "stopped", "message": "Saved."}),
            "r-evaluate-1": badly(70),
        },
    )


def a_hang():
    driver = Driver(Simulation(a_spec(runPolicy={"stallTimeoutSeconds": 60})))
    driver.behaviours["r-train-1"] = nothing
    driver.sim.lingers = True
    return driver


def given_up():
    return Driver(
        Simulation(), {"r-filter-1": badly(64, message={"outcome": "failed", "message": "Bad."})}
    )


def removed_when_finished():
    return Driver(Simulation(a_spec(runPolicy={"ttlSecondsAfterFinished": 0})))


SCENARIOS = [plain, control_arm, failures, a_hang, given_up, removed_when_finished]


def recorded(driver):
    """Every pass of an undisturbed run: the state before it, and the number of its steps."""
    passes = []
    for _ in range(200):
        passes.append((copy.deepcopy(driver), len(driver.sim.plan().steps)))
        if not driver.forward() and driver._rests():
            return passes
    raise AssertionError("no rest")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_a_crash_at_any_step_leads_to_the_same_end(scenario):
    driver = scenario()
    passes = recorded(driver)
    end, created = timeless(driver.sim.status), driver.sim.created
    points = 0
    for number, (before, steps) in enumerate(passes):
        if number and not steps:
            continue
        for done in range(steps + 1):
            crashed = copy.deepcopy(before)
            crashed.sim.carry(crashed.sim.plan(), crash_after=done)
            crashed.act()
            crashed.walk()
            where = f"pass {number}, after {done} of {steps} steps"
            assert crashed.sim.created == created, where
            assert timeless(crashed.sim.status) == end, where
            points += 1
    assert points > 10
