"""Conditions as kubectl, Flux and Argo CD read them, in every situation of a run."""

import pytest

from support.driving import Driver, badly
from support.simulation import Simulation, a_spec
from uncensor_operator.plan.words import cut, duration

MAIN = ("Ready", "Reconciling", "Stalled", "Succeeded", "Suspended")


def new():
    return Simulation().settle()


def running():
    return new().start("r-fetch-1").settle()


def waiting_to_retry():
    return new().start("r-fetch-1").fail("r-fetch-1", 69).settle()


def in_trouble():
    sim = Simulation(a_spec(compute={"pool": "none"}))
    return sim.settle()


def given_up():
    return Driver(Simulation(), {"r-fetch-1": badly(64)}).walk().sim


def done():
    return Driver(Simulation()).walk().sim


def suspending():
    sim = running()
    sim.lingers = True
    return sim.edit(lambda spec: spec.update(suspend=True)).settle()


def suspended():
    return running().edit(lambda spec: spec.update(suspend=True)).settle()


TRUTH = {
    # situation: Ready, Reconciling, Stalled, Succeeded, Suspended, reason, phase
    new: ("False", "True", "False", "Unknown", "False", "Queued", "fetch"),
    running: ("False", "True", "False", "Unknown", "False", "StageRunning", "fetch"),
    waiting_to_retry: ("False", "True", "False", "Unknown", "False", "Retrying", "fetch"),
    in_trouble: ("False", "False", "True", "Unknown", "False", "UnknownPool", "Stalled"),
    given_up: ("False", "False", "True", "False", "False", "InvalidInput", "Stalled"),
    done: ("True", "False", "False", "True", "False", "Completed", "Succeeded"),
    suspending: ("False", "False", "False", "Unknown", "False", "Suspending", "Suspending"),
    suspended: ("False", "False", "False", "Unknown", "True", "Suspended", "Suspended"),
}


@pytest.mark.parametrize(("situation", "row"), TRUTH.items(), ids=lambda one: str(one)[:40])
def test_the_conditions_tell_one_story(situation, row):
    *statuses, reason, phase = row
    sim = situation()
    assert [sim.condition(kind)[0] for kind in MAIN] == statuses
    assert sim.condition("Ready")[1] == reason
    assert sim.status["phase"] == phase
    assert all(
        one["observedGeneration"] == sim.run["metadata"]["generation"]
        for one in sim.status["conditions"]
    )


@pytest.mark.parametrize("situation", TRUTH, ids=lambda one: one.__name__)
def test_kstatus_never_sees_two_verdicts_at_once(situation):
    sim = situation()
    true = [
        kind for kind in ("Ready", "Reconciling", "Stalled") if sim.condition(kind)[0] == "True"
    ]
    assert len(true) <= 1


@pytest.mark.parametrize("situation", TRUTH, ids=lambda one: one.__name__)
def test_the_observed_generation_is_that_of_the_spec(situation):
    sim = situation()
    assert sim.status["observedGeneration"] == sim.run["metadata"]["generation"]


def moments(sim):
    return {one["type"]: one["lastTransitionTime"] for one in sim.status["conditions"]}


def test_the_time_of_a_condition_moves_only_with_its_status():
    sim = new()
    before = moments(sim)
    sim.wait(60).start("r-fetch-1").settle()
    assert moments(sim) == before
    sim.fail("r-fetch-1", 64).settle()
    changed = {kind for kind, moment in moments(sim).items() if moment != before[kind]}
    assert changed == {"Reconciling", "Stalled", "Succeeded"}


def test_suspension_leaves_the_workspace_ready():
    sim = running()
    before = moments(sim)["WorkspaceReady"]
    sim.wait(60).edit(lambda spec: spec.update(suspend=True)).settle()
    assert sim.condition("WorkspaceReady")[0] == "True"
    assert moments(sim)["WorkspaceReady"] == before


def test_stages_reached_have_conditions_of_their_own():
    sim = Simulation()
    kinds = ("DatasetReady", "Trained", "Evaluated")
    sim.pass_stages("fetch", "filter", "prepare")
    assert [sim.condition(kind)[0] for kind in kinds] == ["True", "Unknown", "Unknown"]
    sim.start("r-train-1").fail("r-train-1", 76)
    sim.settle()
    assert [sim.condition(kind) for kind in kinds] == [
        ("True", "StageDone"),
        ("False", "NumericFailure"),
        ("Unknown", "Pending"),
    ]


def test_the_control_arm_counts_for_trained():
    sim = Simulation(a_spec(training={"control": True}))
    sim.pass_stages("fetch", "filter", "prepare", "train")
    assert sim.condition("Trained")[0] == "Unknown"
    sim.pass_stages("train-control")
    assert sim.condition("Trained")[0] == "True"


def test_an_obstacle_is_told_once():
    sim = in_trouble()
    for _ in range(5):
        sim.wait(60).settle()
    assert [event.reason for event in sim.events] == ["UnknownPool"]


def test_the_columns_show_progress_and_model():
    sim = running()
    assert sim.status["columns"] == {"progress": "0/7 stages", "model": "owner/model"}
    assert done().status["columns"]["progress"] == "7/7 stages"


SECRETS = [
    "hf_abcdefghijklmnop",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnopqrstuvwx",
    "Authorization: Bearer abcdef.ghijkl",
    "https://user:pass-word@example.org/x",
    "token=hf_abcdefghijklmnop&x=1",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_do_not_reach_a_status(text):
    shown = cut(f"Failed with {text} here.")
    assert "[redacted]" in shown
    for secret in ("abcdef", "EXAMPLE", "pass-word"):
        assert secret not in shown


@pytest.mark.parametrize(
    "text", ["half_done hf_x", "https://example.org/a:b", "user@example.org", "The Bearer of news"]
)
def test_other_words_stay(text):
    assert cut(text) == text


def test_long_messages_are_cut_to_what_the_api_takes():
    shown = cut("word " * 2000)
    assert len(shown) <= 2000
    assert shown.endswith("…")


def test_control_characters_are_left_out_but_lines_stay():
    assert cut("a\x1b[31mb\nc\td\x00") == "a [31mb\nc\td"


def test_a_secret_in_a_trainers_message_does_not_reach_status_or_events():
    sim = new().start("r-fetch-1")
    said = {"outcome": "failed", "message": "401 for hf_abcdefghijklmnop"}
    sim.fail("r-fetch-1", 69, message=said).settle()
    assert "abcdefghijklmnop" not in f"{sim.status} {sim.events}"


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s"), (89, "89 s"), (120, "2 min"), (7200, "2.0 h")]
)
def test_durations_are_said_as_people_do(seconds, words):
    assert duration(seconds) == words
