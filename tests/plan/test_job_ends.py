"""When a Job counts as done: its controller speaks up to a second after its only pod."""

from support.simulation import Simulation


def a_run_that_fetches() -> Simulation:
    return Simulation().settle().start("r-fetch-1").settle()


def test_the_next_stage_begins_when_the_pod_of_a_job_has_ended_well() -> None:
    run = a_run_that_fetches()
    run.end_pod(pod_of(run), 0, message={"outcome": "done", "summary": {}})
    run.settle()
    assert run.has_child("r-filter-1")
    assert run.stage("fetch")["state"] == "Succeeded"


def test_what_the_job_says_later_changes_nothing() -> None:
    run = a_run_that_fetches()
    run.end_pod(pod_of(run), 0, message={"outcome": "done", "summary": {}})
    run.settle()
    before = run.status
    run.conclude("r-fetch-1", "Complete")
    run.settle()
    assert run.status == before
    assert run.created == ["r-fetch-1", "r-filter-1"]


def test_a_failed_pod_waits_for_the_word_of_its_job() -> None:
    run = a_run_that_fetches()
    run.end_pod(pod_of(run), 69)
    run.settle()
    assert run.stage("fetch")["state"] == "Running"
    run.conclude("r-fetch-1", "Failed")
    run.settle()
    assert run.stage("fetch")["state"] == "Queued"


def pod_of(run: Simulation) -> str:
    return next(name for name in run.pods if name.startswith("r-fetch-1"))
