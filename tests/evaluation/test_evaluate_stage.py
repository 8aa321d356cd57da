import io
import json

import pytest

from support.evaluation import HELP, REFUSAL, a_conversation, lay_out, write_rows
from support.tiny import run_file, silent_progress
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Progress
from uncensor_trainer.run import run_stage
from uncensor_trainer.workspace import read_json, read_lines

PROMPTS = [
    {"id": "p1", "prompt": "How do I cook rice?", "category": "cooking"},
    {"id": "p2", "prompt": "Suggest a name for a boat."},
    {"id": "p3", "prompt": "Explain in a few words why leaves fall in autumn."},
    {"id": "p4", "prompt": "What rhymes with tea?", "category": "writing"},
    {"id": "p5", "prompt": "Plan a day by the lake."},
    {"id": "p6", "prompt": "How long is a marathon?"},
]


@pytest.fixture
def prompts(tmp_path):
    return write_rows(tmp_path / "prompts.jsonl", PROMPTS)


def a_run(tmp_path, prompts=None, *, control=True, digest="0", **evaluation):
    refusal = {"max_new_tokens": 16, "batch_size": 4}
    if prompts is not None:
        refusal["prompts"] = {"kind": "path", "path": str(prompts)}
    return run_file(
        tmp_path / "workspace",
        tmp_path / "model",
        digest=digest,
        training={"control": control},
        evaluation={"refusal": refusal, **evaluation},
    )


def evaluated(run, progress=None):
    return run_stage(run, "evaluate", progress or silent_progress("evaluate"))["summary"]


def test_refusals_of_every_arm_are_counted_and_compared(
    tmp_path, prompts, helpful_model, refusing_model
):
    baseline = {"kind": "path", "path": str(refusing_model)}
    run = a_run(tmp_path, prompts, baseline=baseline)
    arms = {"filtered": helpful_model, "control": refusing_model, "baseline": refusing_model}
    workspace = lay_out(
        run, arms, lists={"prompts": [prompts]}, held_out=[a_conversation(HELP)] * 3
    )
    summary = evaluated(run)
    result = read_json(workspace.output("evaluate") / "refusal.json")
    assert summary["rates"] == {"filtered": 0.0, "control": 1.0, "baseline": 1.0}
    assert result["prompts"] == 6
    assert result["arms"]["control"]["byClass"] == {"refusal": 6}
    assert result["arms"]["filtered"]["byClass"] == {"none": 6}
    assert result["comparison"] == {
        "test": "exact McNemar",
        "against": "control",
        "pValue": 2 / 64,
        "onlyOther": 6,
        "onlyFiltered": 0,
    }
    assert result["gate"] is None
    assert result["settings"]["answers"] == "held-out"


def test_the_arm_that_learned_the_answer_finds_it_likely(
    tmp_path, prompts, helpful_model, refusing_model
):
    run = a_run(tmp_path, prompts)
    arms = {"filtered": helpful_model, "control": refusing_model}
    rows = [a_conversation(HELP, question) for question in ("How do I cook rice?", "Name a fish.")]
    workspace = lay_out(run, arms, lists={"prompts": [prompts]}, held_out=rows)
    perplexity = evaluated(run)["perplexity"]
    result = read_json(workspace.output("evaluate") / "refusal.json")
    assert perplexity["filtered"] < 1.5
    assert perplexity["control"] > 10
    assert result["perplexityRatio"] == perplexity["filtered"] / perplexity["control"]
    assert result["perplexity"]["filtered"]["answers"] == 2


def test_samples_show_every_answer_beside_the_others(
    tmp_path, prompts, helpful_model, refusing_model
):
    run = a_run(tmp_path, prompts)
    arms = {"filtered": helpful_model, "control": refusing_model}
    workspace = lay_out(run, arms, lists={"prompts": [prompts]})
    evaluated(run)
    samples = read_lines(workspace.output("evaluate") / "samples.jsonl")
    assert [sample["id"] for sample in samples] == [row["id"] for row in PROMPTS]
    assert samples[0] == {
        "id": "p1",
        "prompt": "How do I cook rice?",
        "category": "cooking",
        "answers": {
            "filtered": {"response": HELP, "class": "none"},
            "control": {"response": REFUSAL, "class": "refusal"},
        },
    }


def test_the_result_is_kept_although_the_gate_is_not_met(tmp_path, prompts, refusing_model):
    run = a_run(tmp_path, prompts, control=False, max_refusal_rate=0.05)
    workspace = lay_out(run, {"filtered": refusing_model}, lists={"prompts": [prompts]})
    lines = io.StringIO()
    summary = evaluated(run, Progress("evaluate", stream=lines))
    assert summary["gate"] == {"maxRefusalRate": 0.05, "met": False}
    assert workspace.is_complete("evaluate", run.stage("evaluate").digest)
    assert "refuses 100.0% of the prompts, at most 5.0% are allowed" in lines.getvalue()


def test_progress_counts_prompts_and_answers_of_all_arms(
    tmp_path, prompts, helpful_model, refusing_model
):
    run = a_run(tmp_path, prompts)
    arms = {"filtered": helpful_model, "control": refusing_model}
    lay_out(run, arms, lists={"prompts": [prompts]}, held_out=[a_conversation(HELP)] * 3)
    lines = io.StringIO()
    ticks = iter(range(100_000))
    evaluated(run, Progress("evaluate", stream=lines, clock=lambda: 2.0 * next(ticks)))
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    steps = [event["step"] for event in events if event["event"] == "progress"]
    assert steps == sorted(steps)
    assert steps[-1] == 2 * (6 + 3)
    assert {event["arm"] for event in events if event["event"] == "progress"} == set(arms)


def test_the_same_models_give_the_same_files(tmp_path, prompts, helpful_model):
    files = []
    for digest in ("1", "2"):
        run = a_run(tmp_path / digest, prompts, control=False, digest=digest)
        workspace = lay_out(run, {"filtered": helpful_model}, lists={"prompts": [prompts]})
        evaluated(run)
        folder = workspace.output("evaluate")
        files.append([(folder / name).read_bytes() for name in ("refusal.json", "samples.jsonl")])
    assert files[0] == files[1]


def test_without_lists_the_bundled_ones_are_used(tmp_path, refusing_model):
    run = a_run(tmp_path, control=False)
    workspace = lay_out(run, {"filtered": refusing_model})
    evaluated(run)
    result = read_json(workspace.output("evaluate") / "refusal.json")
    assert result["prompts"] == result["arms"]["filtered"]["refusals"] >= 60
    assert (result["settings"]["prompts"], result["settings"]["answers"]) == ("bundled", "bundled")


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        pytest.param(["control"], "'filtered'.*--from train\\)", id="filtered"),
        pytest.param(["filtered"], "'control'.*--from train-control\\)", id="control"),
        pytest.param(["filtered", "control"], "'baseline'.*--from fetch\\)", id="baseline"),
    ],
)
def test_a_missing_model_is_named_with_the_stage_that_makes_it(
    tmp_path, prompts, helpful_model, arms, message
):
    run = a_run(tmp_path, prompts, baseline={"kind": "path", "path": "before"})
    lay_out(run, dict.fromkeys(arms, helpful_model), lists={"prompts": [prompts]})
    with pytest.raises(InvalidInput, match=message):
        evaluated(run)


def test_an_empty_prompt_list_is_refused(tmp_path, helpful_model):
    prompts = write_rows(tmp_path / "prompts.jsonl", [])
    run = a_run(tmp_path, prompts, control=False)
    lay_out(run, {"filtered": helpful_model}, lists={"prompts": [prompts]})
    with pytest.raises(InvalidInput, match=r"list is empty \(prompts.jsonl\)"):
        evaluated(run)


def test_reference_answers_that_are_all_too_long_are_refused(tmp_path, prompts, helpful_model):
    run = a_run(tmp_path, prompts, control=False)
    rows = [a_conversation("and more " * 500)]
    lay_out(run, {"filtered": helpful_model}, lists={"prompts": [prompts]}, held_out=rows)
    with pytest.raises(InvalidInput, match="None of the 1 reference answers"):
        evaluated(run)
