"""What this version cannot do is refused with a sentence, never ignored."""

import pytest

from support.manifests import GOOD, LAYER, a_manifest, written
from uncensor_operator.api.reading import read
from uncensor_operator.api.unsupported import unsupported

S3 = {"s3": {"bucket": "data"}}
HTTP = {"http": {"url": "https://example.com/model.safetensors"}}
HUB = {"huggingFace": {"repo": "a/b", "tokenSecretRef": {"name": "hf"}}}


def problems_with(tmp_path, changes):
    (document,) = read([written(tmp_path, a_manifest(changes))])
    return unsupported(document.training)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"spec.alignment": [LAYER]}, "spec.alignment[0]"),
        ({"spec.publish": GOOD["publishing to three places"]["spec.publish"]}, "spec.publish"),
        ({"spec.evaluation.benchmarks": ["mmlu"]}, "spec.evaluation.benchmarks"),
        ({"spec.evaluation.taskPath": "tasks"}, "spec.evaluation.taskPath"),
        (
            {"spec.evaluation.gates.maxBenchmarkDrop": "1.0"},
            "spec.evaluation.gates.maxBenchmarkDrop",
        ),
        ({"spec.model": S3}, "spec.model.s3"),
        ({"spec.model": HTTP}, "spec.model.http"),
        ({"spec.datasets.0": {"name": "a", **S3}}, "spec.datasets[0].s3"),
        ({"spec.probe.input": S3}, "spec.probe.input.s3"),
        ({"spec.evaluation.refusal.prompts": S3}, "spec.evaluation.refusal.prompts.s3"),
        ({"spec.evaluation.perplexity.answers": S3}, "spec.evaluation.perplexity.answers.s3"),
        ({"spec.evaluation.baseline": S3}, "spec.evaluation.baseline.s3"),
        ({"spec.evaluation.baseline": HTTP}, "spec.evaluation.baseline.http"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_there_yet_is_refused(tmp_path, changes, path):
    (problem,) = problems_with(tmp_path, changes)
    assert problem.path == path
    assert "this version does not have it yet" in problem.message
    assert ": " in problem.message, "says what to do"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"spec.training.packing": "on"},
        {"spec.model": HUB, "spec.evaluation.baseline": HUB},
        {"spec.datasets.0": {"name": "a", "http": {"url": "https://example.com/a.jsonl"}}},
        {"spec.evaluation.gates.maxRefusalRate": "0.05"},
        GOOD["a model in a package"],
        GOOD["audit with rules of one's own"],
        GOOD["compute in full"],
        GOOD["reporting to four places"],
        GOOD["run policy in full"],
        GOOD["lora"],
    ],
    ids=str,
)
def test_the_rest_is_not(tmp_path, changes):
    assert problems_with(tmp_path, changes) == ()


def test_all_of_it_is_told_at_once(tmp_path):
    changes = {"spec.alignment": [LAYER, {**LAYER, "name": "b"}], "spec.model": S3}
    assert [one.path for one in problems_with(tmp_path, changes)] == [
        "spec.alignment[0]",
        "spec.alignment[1]",
        "spec.model.s3",
    ]
