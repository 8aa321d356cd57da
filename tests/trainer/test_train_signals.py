"""Signals and kills, on the train stage in a process of its own."""

import json
import signal
import subprocess
import sys

import pytest

from support.tiny import prepared_workspace, run_file, some_rows, tiny_model
from support.training import arm_dir, checkpoints, losses, start, train, wait_for_step

STEPS = 60
SLEEPER = """
import os, sys, time
from uncensor_trainer.stopping import StopFlag
with StopFlag() as stop:
    print("ready", flush=True)
    while not stop.is_set:
        time.sleep(0.01)
    print(stop.name, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def a_run(base, tmp_path_factory):
    """Return a maker of runs of 60 steps, saved every 7."""

    def make():
        run = run_file(
            tmp_path_factory.mktemp("ws"),
            base,
            training={
                "epochs": 10.0,
                "checkpoints": {"every_steps": 7, "every_minutes": 0, "keep_latest": 2},
            },
        )
        prepared_workspace(run, some_rows(24))
        return run

    return make


@pytest.fixture(scope="module")
def undisturbed(a_run):
    run = a_run()
    train(run)
    return losses(run)


def test_a_killed_run_goes_on_to_the_same_losses(a_run, undisturbed):
    run = a_run()
    process = start(run)
    wait_for_step(process, run, 9)
    process.kill()
    process.communicate()
    reached = losses(run)[-1][0]
    assert reached < STEPS
    notes = [line["message"] for line in train(run) if line["event"] == "note"]
    assert f"Going on from the checkpoint of step {reached // 7 * 7}." in notes
    assert losses(run) == undisturbed


def test_a_stop_saves_ends_with_75_and_loses_no_step(a_run, undisturbed):
    run = a_run()
    process = start(run)
    wait_for_step(process, run, 2)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate()
    last = losses(run)[-1][0]
    assert process.returncode == 75
    # Every line of standard output is JSON, whatever the libraries have to say.
    end = [json.loads(line) for line in out.splitlines()][-1]
    assert (end["event"], end["reason"], end["code"]) == ("failed", "Stopped", 75)
    assert f"after step {last} of {STEPS}" in end["message"]
    assert f"step-{last}" in checkpoints(run)
    assert not (arm_dir(run) / "model").exists()
    train(run)
    assert losses(run) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(number):
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.stdout.readline() == f"{number.name}\n"
    while process.poll() is None:
        # Signals within a second are one request that came twice.
        process.send_signal(number)
        try:
            process.wait(0.3)
        except subprocess.TimeoutExpired:
            continue
    _, complaints = process.communicate()
    assert process.returncode == 128 + number
    assert "ending at once" in complaints
