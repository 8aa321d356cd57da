from pathlib import Path

import pytest

from support import report_example
from uncensor_trainer.report.timeline import timeline
from uncensor_trainer.workspace import Workspace


def lines(facts):
    return {line.name: line for line in timeline(facts).lines}


def events(run, *rows):
    workspace = Workspace(Path(run.workspace), run.run)
    report_example.write_lines(
        workspace.events,
        ({"time": time, "event": f"stage-{kind}", "stage": stage} for time, kind, stage in rows),
    )


def test_a_killed_attempt_ends_at_its_last_sign_of_life(a_run, facts_of):
    train = lines(facts_of(a_run()))["train"]

    assert [attempt.outcome for attempt in train.attempts] == ["broken off", "finished"]
    # The first attempt left metrics until its 20th step, 40 seconds after the start at 14.
    assert train.attempts[0].seconds == pytest.approx(40)
    assert train.attempts[0].told == "broken off after 40 s or more"


def test_time_without_work_is_left_out(a_run, facts_of):
    found = timeline(facts_of(a_run()))

    assert found.busy_seconds < 600
    assert found.idle_seconds > 80_000
    last = found.lines[-1].attempts[-1]
    assert found.clock(last.end) == pytest.approx(found.busy_seconds)


def test_stages_found_complete_later_count_as_skipped(a_run, facts_of):
    found = lines(facts_of(a_run()))

    assert (found["fetch"].skips, found["fetch"].state) == (1, "complete")
    assert found["train"].skips == 0


def test_without_events_the_records_tell(a_run, facts_of):
    run = a_run()
    Workspace(Path(run.workspace), run.run).events.unlink()

    found = lines(facts_of(run))

    assert found["train"].seconds == pytest.approx(122.5)
    assert [attempt.outcome for attempt in found["probe"].attempts] == ["finished"]


def test_failed_and_stopped_attempts_are_told_apart(a_run, facts_of):
    run = a_run()
    events(
        run,
        (0, "started", "train"),
        (5, "failed", "train"),
        (6, "started", "train"),
        (9, "stopped", "train"),
        (10, "started", "train"),
        (30, "finished", "train"),
    )

    train = lines(facts_of(run))["train"]

    assert [a.outcome for a in train.attempts] == ["failed", "stopped", "finished"]
    assert train.seconds == 28


def test_attempts_of_an_output_that_was_replaced_are_left_out(a_run, facts_of):
    run = a_run()
    events(
        run,
        (0, "started", "filter"),
        (5, "finished", "filter"),
        (100, "started", "filter"),
        (107, "finished", "filter"),
    )

    assert lines(facts_of(run))["filter"].seconds == 7


def test_a_stage_that_never_ran_says_so(a_run, facts_of):
    run = a_run()
    workspace = Workspace(Path(run.workspace), run.run)
    workspace.events.unlink()
    (workspace.output("probe") / "stage.json").unlink()

    probe = lines(facts_of(run))["probe"]

    assert (probe.state, probe.attempts) == ("not run", ())


def test_a_run_without_any_trace_has_no_time(tmp_path, facts_of):
    found = timeline(facts_of(report_example.a_run_file(tmp_path)))

    assert (found.busy_seconds, found.idle_seconds) == (0, 0)
    assert {line.state for line in found.lines} == {"not run"}
