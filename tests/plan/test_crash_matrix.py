"""The operator is killed at every step that it carries out; nothing is lost or done twice.

The points are enumerated from a recorded run: for each pass of it, the process dies after each of
its steps, before the status is written. The run must then come to the end of the undisturbed one.
"""

import copy
import json

import pytest

from support.driving import Driver, badly, nothing, timeless
from support.simulation import Simulation, a_spec


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


def suspended_while_training():
    driver = Driver(Simulation())
    driver.walk(lambda sim: sim.status.get("phase") == "train" and sim.has_child("r-train-1"))
    driver.sim.lingers = True
    driver.sim.edit(lambda spec: spec.update(suspend=True))
    return driver


def resumed():
    driver = suspended_while_training().walk()
    driver.sim.edit(lambda spec: spec.update(suspend=False))
    return driver


def evaluated_again():
    driver = Driver(Simulation()).walk()
    driver.sim.edit(lambda spec: spec.update(evaluation={"refusal": {"maxNewTokens": 32}}))
    return driver


def filtered_again():
    driver = Driver(Simulation())
    driver.walk(lambda sim: sim.has_child("r-prepare-1"))
    driver.sim.edit(lambda spec: spec.update(filter={"maxDropFraction": "0.9"}))
    return driver


def retried():
    driver = given_up().walk()
    driver.sim.annotate(retry="1")
    return driver


def too_late():
    driver = Driver(Simulation(a_spec(runPolicy={"activeDeadlineSeconds": 3600})))
    driver.walk(lambda sim: sim.has_child("r-train-1"))
    driver.sim.wait(3600)
    return driver


def removed_when_finished():
    return Driver(Simulation(a_spec(runPolicy={"ttlSecondsAfterFinished": 0})))


SCENARIOS = [
    control_arm,
    failures,
    a_hang,
    given_up,
    retried,
    suspended_while_training,
    resumed,
    evaluated_again,
    filtered_again,
    too_late,
    removed_when_finished,
]


def picture(driver):
    """Everything about a run and its cluster that decides what happens next, times apart."""
    sim = driver.sim
    pods = {name: pod["status"]["phase"] for name, pod in sim.pods.items()}
    ended = sorted(name for name in sim.children if sim.child(name).get("status"))
    said = [timeless(sim.status), sorted(sim.objects), pods, ended, sim.created]
    return json.dumps(said, sort_keys=True)


def recorded(driver):
    """Every pass of an undisturbed run: the state before it, its steps, and all that followed."""
    passes, pictures = [], []
    for _ in range(200):
        passes.append((copy.deepcopy(driver), len(driver.sim.plan().steps)))
        moved = driver.forward()
        pictures.append(picture(driver))
        if not moved and driver.rests():
            return passes, pictures
    raise AssertionError("no rest")


def joins(driver, pictures):
    """Whether a run comes back to the course of the undisturbed one within a few passes."""
    for _ in range(12):
        if picture(driver) in pictures:
            return True
        driver.forward()
    return False


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_a_crash_at_any_step_leads_to_the_same_end(scenario):
    passes, pictures = recorded(scenario())
    assert sum(steps for _, steps in passes) > 0
    for number, (before, steps) in enumerate(passes):
        for done in range(steps + 1):
            crashed = copy.deepcopy(before)
            crashed.sim.carry(crashed.sim.plan(), crash_after=done)
            if done:  # else the next pass comes at once, before the cluster moves
                crashed.act()
            where = f"pass {number}, after {done} of {steps} steps: {crashed.sim.created}"
            # Plan and cluster are functions of what the picture shows: equal once, equal for ever.
            assert joins(crashed, pictures[number:]), where
