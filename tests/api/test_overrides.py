"""`--set path=value`: what it changes, and what it refuses."""

import pytest

from support.manifests import a_manifest, written
from uncensor_operator.api.reading import read


def spec_with(tmp_path, *overrides, changes=None):
    (document,) = read([written(tmp_path, a_manifest(changes))], overrides)
    assert [str(one) for one in document.problems] == []
    return document.training.spec


@pytest.mark.parametrize(
    ("override", "read_value", "wanted"),
    [
        ("spec.training.epochs=1", lambda spec: spec.training.epochs, "1"),
        ("training.epochs=0.5", lambda spec: spec.training.epochs, "0.5"),
        ('training.epochs="2"', lambda spec: spec.training.epochs, "2"),
        ("training.learningRate=2e-5", lambda spec: spec.training.learning_rate, "2e-5"),
        ("training.maxLength=128", lambda spec: spec.training.max_length, 128),
        ("training.control=true", lambda spec: spec.training.control, True),
        ("training.packing=off", lambda spec: spec.training.packing, "off"),
        ("filter.mode=off", lambda spec: spec.filter.mode, "off"),
        ("datasets[0].maxRows=5", lambda spec: spec.datasets[0].max_rows, 5),
        ("datasets.0.path=a=b.jsonl", lambda spec: spec.datasets[0].path, "a=b.jsonl"),
        ("datasets[0].path=2024", lambda spec: spec.datasets[0].path, "2024"),
        ("datasets[0].path=null", None, None),
        ("training.lora={rank: 4}", lambda spec: spec.training.lora.rank, 4),
        ("evaluation.benchmarks=[mmlu]", lambda spec: spec.evaluation.benchmarks, ("mmlu",)),
        ("training.globalBatchSize=null", lambda spec: spec.training.global_batch_size, None),
        ("training.seed=", lambda spec: spec.training.seed, 42),
    ],
)
def test_a_value_is_changed(tmp_path, override, read_value, wanted):
    if read_value is None:
        (document,) = read([written(tmp_path, a_manifest())], [override])
        assert [one.path for one in document.problems] == ["spec.datasets[0]"]
        return
    assert read_value(spec_with(tmp_path, override)) == wanted


def test_overrides_follow_each_other(tmp_path):
    spec = spec_with(tmp_path, "training.seed=1", "training.seed=2", "model.path=other")
    assert (spec.training.seed, spec.model.path) == (2, "other")


def test_a_source_is_exchanged_in_two_steps(tmp_path):
    spec = spec_with(tmp_path, "model.path=null", "model.huggingFace.repo=a/b")
    assert spec.model.path is None
    assert spec.model.hugging_face.repo == "a/b"


def test_names_and_labels_are_set(tmp_path):
    (document,) = read(
        [written(tmp_path, a_manifest())],
        ["metadata.name=other", "metadata.labels[kueue.x-k8s.io/queue-name]=7"],
    )
    assert document.training.metadata.name == "other"
    assert document.training.metadata.labels == {"kueue.x-k8s.io/queue-name": "7"}


def test_every_document_is_changed(tmp_path):
    files = [
        written(tmp_path, a_manifest({"metadata.name": name}), f"{name}.yaml") for name in "ab"
    ]
    documents = read(files, ["training.seed=7"])
    assert [one.training.spec.training.seed for one in documents] == [7, 7]


def test_a_bad_value_is_told_with_the_override(tmp_path):
    (document,) = read([written(tmp_path, a_manifest())], ["training.epochs=many"])
    (problem,) = document.problems
    assert str(problem) == (
        '--set training.epochs=many: spec.training.epochs: found the text "many"; wanted a number '
        'in quotes, such as "0.5" or "2e-5"'
    )


def test_a_good_value_mends_a_bad_file(tmp_path):
    spec = spec_with(tmp_path, "training.epochs=2", changes={"spec.training.epochs": 3})
    assert spec.training.epochs == "2"


@pytest.mark.parametrize(
    ("override", "path", "words"),
    [
        ("training.epohs=1", "spec.training.epohs", "did you mean spec.training.epochs?"),
        ("epochs=1", "spec.epochs", "did you mean spec.training.epochs?"),
        ("training.lora.rank.x=1", "spec.training.lora.rank.x", "no field can stand here"),
        ("datasets.name=x", "spec.datasets.name", "no such field"),
        ("metadata.lable=x", "metadata.lable", "did you mean metadata.labels?"),
        ("kind=x", "kind", "cannot be set"),
        ("status.phase=x", "status.phase", "cannot be set"),
        ("spec=x", "spec", "cannot be set"),
        ("training.epochs", "", "wanted path=value"),
        ("=1", "", "wanted path=value"),
        ("...=1", "spec", "no such field"),
        ("training.lora={rank: 4", "spec.training.lora", "bracket"),
        ("training.lora={rank: 4, rank: 5}", "spec.training.lora", "twice"),
    ],
)
def test_a_wrong_override_is_told_once(tmp_path, override, path, words):
    files = [
        written(tmp_path, a_manifest({"metadata.name": name}), f"{name}.yaml") for name in "ab"
    ]
    wrong, *documents = read(files, [override])
    assert wrong.training is None
    (problem,) = wrong.problems
    assert problem.path.startswith(path)
    assert words in problem.message
    assert problem.file == f"--set {override}"
    assert [one.problems for one in documents] == [(), ()]


def test_an_entry_that_is_not_there_is_a_problem_of_the_document(tmp_path):
    (document,) = read([written(tmp_path, a_manifest())], ["datasets[1].maxRows=5"])
    (problem,) = document.problems
    assert "no entry 1, because the list has 1" in problem.message
    assert problem.file == "--set datasets[1].maxRows=5"
