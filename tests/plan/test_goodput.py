"""Where the time of trainings went: counted at the end of each attempt."""

from support.simulation import START, Simulation, a_spec
from uncensor_operator.plan.world import LiveProgress


def at_train() -> Simulation:
    run = Simulation(a_spec()).pass_stages("fetch", "filter", "prepare")
    assert run.has_child("r-train-1")
    return run


def told(run: Simulation, step: int, checkpoint: int | None) -> None:
    pod = run.pods["r-train-1-master-0"]["metadata"]["uid"]
    run.progress["r-train-1"] = LiveProgress(pod, step=step, total=100, checkpoint=checkpoint)


def started(run: Simulation, name: str = "r-train-1") -> Simulation:
    """Ten seconds of waiting for a node, then it runs."""
    run.wait(10).start(name).settle()
    return run


def ended_at(run: Simulation, name: str) -> None:
    """The double's containers know when they began."""
    for pod in run.pods.values():
        if pod["metadata"]["name"].startswith(name):
            (state,) = pod["status"]["containerStatuses"]
            state["state"]["terminated"]["startedAt"] = run.begun


def test_an_attempt_that_ends_well_is_productive_after_its_wait():
    run = started(at_train())
    run.begun = run._text()
    run.wait(100).complete("r-train-1")
    ended_at(run, "r-train-1")
    run.settle()

    goodput = run.status["goodput"]
    assert (goodput["queuedSeconds"], goodput["productiveSeconds"]) == (10, 100)
    assert goodput["restartSeconds"] == 0
    assert goodput["fraction"] == f"{100 / 110:.6g}"


def test_of_a_failed_attempt_only_what_a_checkpoint_keeps_counts():
    run = started(at_train())
    run.begun = run._text()
    told(run, step=40, checkpoint=30)
    run.wait(100).fail("r-train-1", 70)
    ended_at(run, "r-train-1")
    run.settle()

    goodput = run.status["goodput"]
    assert (goodput["productiveSeconds"], goodput["restartSeconds"]) == (75, 25)


def test_an_attempt_that_saved_nothing_was_for_nothing():
    run = started(at_train())
    run.begun = run._text()
    told(run, step=40, checkpoint=None)
    run.wait(100).fail("r-train-1", 70)
    ended_at(run, "r-train-1")
    run.settle()

    assert run.status["goodput"]["restartSeconds"] == 100
    assert run.status["goodput"]["fraction"] == "0"


def test_an_attempt_that_never_ran_only_waited():
    run = at_train()
    run.add_pod(run.child("r-train-1"), "master-0")
    run.wait(50)
    run.conclude("r-train-1", "Failed")
    run.child("r-train-1")["status"]["conditions"][-1]["lastTransitionTime"] = run._text()
    run.wait(10).settle()

    assert run.status["goodput"]["queuedSeconds"] == 50
    assert run.now > START


def test_stages_that_train_nothing_do_not_count():
    run = Simulation(a_spec()).pass_stages("fetch")

    assert "goodput" not in run.status
