"""What is accepted, what is refused, and with which words."""

import pytest

from support.bad_manifests import BAD, Bad
from support.manifests import GOOD, a_manifest, written
from uncensor_operator.api.reading import read


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_good_manifests_are_read(changes, tmp_path):
    (document,) = read([written(tmp_path, a_manifest(changes))])
    assert [str(problem) for problem in document.problems] == []
    assert document.training is not None


@pytest.mark.parametrize("bad", BAD, ids=[bad.id for bad in BAD])
def test_bad_manifests_name_the_field_and_the_remedy(bad: Bad, tmp_path):
    (document,) = read([written(tmp_path, a_manifest(bad.changes))])
    assert [problem.path for problem in document.problems] == [bad.path]
    assert document.training is None
    (problem,) = document.problems
    assert [word for word in bad.words if word not in problem.message] == []
    assert problem.file.endswith("m.yaml")
    assert problem.line >= 1


def test_the_table_is_long_enough():
    assert len(BAD) >= 60
    assert len({bad.id for bad in BAD}) == len(BAD)


def test_every_problem_of_a_manifest_is_told_at_once(tmp_path):
    changes = {"metadata.name": "X", "spec.training.epochs": 3, "spec.filtre": {}}
    (document,) = read([written(tmp_path, a_manifest(changes))])
    assert {problem.path for problem in document.problems} == {
        "metadata.name",
        "spec.training.epochs",
        "spec.filtre",
    }
    assert [one.line for one in document.problems] == sorted(one.line for one in document.problems)
