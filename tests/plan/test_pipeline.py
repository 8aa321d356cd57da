import pytest

from support.runs import ACTIONS, make_run
from uncensor_operator.plan.pipeline import downstream, upstream, with_stages
from uncensor_trainer.runfile import (
    CheckpointSettings,
    Compute,
    Dataset,
    DeepSpeedSettings,
    EvaluationSettings,
    FilterSettings,
    HttpSource,
    PathSource,
    ProbeSettings,
    RefusalEvaluation,
    TrainingSettings,
)

ALL = ["fetch", "filter", "prepare", "train", "probe", "evaluate", "report"]


def digests(run, fingerprints=None):
    return {stage.name: stage.digest for stage in with_stages(run, fingerprints or {}).stages}


def changed(run, other, before=None, after=None):
    """Names of the stages that both runs have and whose digest differs."""
    first, second = digests(run, before), digests(other, after)
    return [name for name in first if name in second and first[name] != second[name]]


def test_stages_stand_in_the_order_in_which_they_run():
    assert [stage.name for stage in with_stages(make_run(), {}).stages] == ALL


def test_a_control_arm_is_one_stage_more():
    run = with_stages(make_run(training=TrainingSettings(control=True)), {})
    assert [stage.name for stage in run.stages] == [*ALL[:4], "train-control", *ALL[4:]]
    assert run.stage("evaluate").needs == ("train", "train-control")


def test_every_stage_needs_only_stages_before_it():
    seen = set()
    for stage in with_stages(make_run(training=TrainingSettings(control=True)), {}).stages:
        assert set(stage.needs) <= seen
        seen.add(stage.name)


def test_equal_runs_have_equal_digests():
    assert digests(make_run()) == digests(make_run())


def test_the_name_of_the_run_and_the_place_of_the_workspace_do_not_count():
    assert changed(make_run(), make_run("/elsewhere", run="other")) == []


FROM_FILTER = ["filter", "prepare", "train", "probe", "evaluate", "report"]
FROM_TRAIN = ["train", "probe", "evaluate", "report"]
CHANGES = {
    "another data set": (
        {"datasets": (Dataset(name="rows", source=PathSource(path="other.json")),)},
        ALL,
    ),
    "another format": (
        {"datasets": (Dataset(name="rows", source=PathSource(path="rows.json"), format="alpaca"),)},
        FROM_FILTER,
    ),
    "another model": (
        {"model": PathSource(path="larger")},
        [name for name in ALL if name != "filter"],
    ),
    "another action": (
        {"filter": FilterSettings(actions={**ACTIONS, "identity": "drop"})},
        FROM_FILTER,
    ),
    "another template": (
        {"training": TrainingSettings(template="alpaca")},
        ["prepare", *FROM_TRAIN],
    ),
    "another learning rate": ({"training": TrainingSettings(learning_rate=1e-3)}, FROM_TRAIN),
    "another ZeRO stage": (
        {"training": TrainingSettings(deepspeed=DeepSpeedSettings(stage=2))},
        FROM_TRAIN,
    ),
    "another global batch": ({"training": TrainingSettings(micro_batch_size=4)}, FROM_TRAIN),
    "the same global batch in smaller parts": (
        {"training": TrainingSettings(micro_batch_size=4, gradient_accumulation_steps=8)},
        [],
    ),
    "the same global batch on two processes": (
        {
            "training": TrainingSettings(gradient_accumulation_steps=2),
            "compute": Compute(processes_per_node=2),
        },
        [],
    ),
    "checkpoints more often": (
        {"training": TrainingSettings(checkpoints=CheckpointSettings(every_steps=5))},
        [],
    ),
    "gradient checkpointing": ({"training": TrainingSettings(gradient_checkpointing=False)}, []),
    "packing": ({"training": TrainingSettings(packing="off")}, []),
    "joined kernels": (
        {"training": TrainingSettings(torch_compile=True, liger_kernels=True)},
        [],
    ),
    "a control arm": (
        {"training": TrainingSettings(control=True)},
        ["prepare", "probe", "evaluate", "report"],
    ),
    "longer probe answers": ({"probe": ProbeSettings(max_new_tokens=5)}, ["probe", "report"]),
    "longer test answers": (
        {"evaluation": EvaluationSettings(refusal=RefusalEvaluation(max_new_tokens=5))},
        ["evaluate", "report"],
    ),
    "other test prompts": (
        {
            "evaluation": EvaluationSettings(
                refusal=RefusalEvaluation(prompts=HttpSource(url="http://localhost/prompts"))
            )
        },
        ["fetch", "evaluate", "report"],
    ),
    "a baseline": (
        {"evaluation": EvaluationSettings(baseline=PathSource(path="base"))},
        ["fetch", "probe", "evaluate", "report"],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_repeats_exactly_what_it_influences(name):
    fields, wanted = CHANGES[name]
    assert changed(make_run(), make_run(**fields)) == wanted


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        ("dataset/rows", ALL),
        ("model", [name for name in ALL if name != "filter"]),
        ("bundled/probe.jsonl", ["probe", "report"]),
        ("bundled/refusal_prompts.jsonl", ["evaluate", "report"]),
    ],
)
def test_a_file_that_changed_on_disk_counts(role, wanted):
    run = make_run()
    assert changed(run, run, {role: "before"}, {role: "after"}) == wanted


def test_downstream_is_the_stage_and_all_that_builds_on_it():
    run = with_stages(make_run(training=TrainingSettings(control=True)), {})
    assert downstream(run, "train-control") == ("train-control", "probe", "evaluate", "report")
    assert downstream(run, "report") == ("report",)


def test_upstream_is_the_stages_and_all_that_they_need():
    run = with_stages(make_run(), {})
    assert upstream(run, ("prepare",)) == ("fetch", "filter", "prepare")
