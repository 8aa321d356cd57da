import pytest

from support.runs import make_run
from uncensor_operator.errors import UncensorError
from uncensor_operator.plan.decide import Action, decide
from uncensor_operator.plan.pipeline import with_stages

RUN = with_stages(make_run(), {})
COMPLETE = {stage.name: stage.digest for stage in RUN.stages}


def actions(done, **options):
    return {one.stage: one.action for one in decide(RUN, done, **options)}


def test_an_empty_workspace_runs_everything():
    assert set(actions({}).values()) == {Action.RUN}


def test_a_complete_workspace_runs_nothing():
    assert set(actions(COMPLETE).values()) == {Action.SKIP}


def test_an_output_from_other_inputs_is_made_again_with_a_reason():
    decision = next(
        one for one in decide(RUN, {**COMPLETE, "train": "other"}) if one.stage == "train"
    )
    assert decision.action is Action.RUN
    assert "changed" in decision.why


def test_from_repeats_the_stage_and_all_after_it():
    again = [
        name
        for name, action in actions(COMPLETE, from_stage="train").items()
        if action is Action.RUN
    ]
    assert again == ["train", "probe", "evaluate", "report"]


def test_only_leaves_the_rest_alone():
    assert actions({}, only=["filter"])["filter"] is Action.RUN
    assert actions({}, only=["filter"])["train"] is Action.LEAVE


def test_only_skips_what_is_complete():
    assert actions(COMPLETE, only=["filter"])["filter"] is Action.SKIP


@pytest.mark.parametrize("options", [{"only": ["tarin"]}, {"from_stage": "align"}])
def test_an_unknown_stage_is_refused_with_the_known_ones(options):
    with pytest.raises(UncensorError, match="fetch, filter, prepare, train"):
        decide(RUN, {}, **options)
