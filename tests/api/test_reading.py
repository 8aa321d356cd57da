"""Files, folders and standard input: which documents come out, and with which problems."""

import io
import os
import sys

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.manifests import a_manifest, written
from uncensor_operator.api.fields import paths_of
from uncensor_operator.api.problems import Problem
from uncensor_operator.api.reading import read
from uncensor_operator.api.v1alpha1 import UncensorTraining


def manifest(name: str = "my-run") -> str:
    return yaml.safe_dump(a_manifest({"metadata.name": name}), sort_keys=False)


def problem_of(*targets: object) -> Problem:
    (document,) = read([str(target) for target in targets])
    assert document.training is None
    (problem,) = document.problems
    return problem


def names_of(documents) -> list[str]:
    return [one.training.metadata.name for one in documents if one.training is not None]


CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"


def test_problems_stand_on_the_line_of_their_key(tmp_path):
    text = """\
apiVersion: uncensor.dev/v1alpha1
kind: UncensorTraining
metadata:
  name: my-run
spec:
  model: {path: x}
  datasets:
    - name: rows
      path: x
      format: jsonl
  training:

    epochs: 3
    learningRate: 2e-5
    lora:
      rank: 0
  filter:
    mode: off
"""
    path = written(tmp_path, text)
    (document,) = read([path])
    assert [(one.line, one.path) for one in document.problems] == [
        (10, "spec.datasets[0].format"),
        (13, "spec.training.epochs"),
        (14, "spec.training.learningRate"),
        (16, "spec.training.lora.rank"),
    ]
    assert str(document.problems[1]) == (
        f"{path}:13: spec.training.epochs: found the number 3; wanted text: "
        'put it in quotes, as in epochs: "3"'
    )


def test_bare_on_and_off_are_words(tmp_path):
    text = manifest() + "  training: {packing: on}\n  filter: {mode: off}\n"
    (document,) = read([written(tmp_path, text)])
    assert document.problems == ()
    assert document.training.spec.training.packing == "on"
    assert document.training.spec.filter.mode == "off"


def test_a_file_may_hold_several_manifests_and_other_things(tmp_path):
    text = "---\n".join([manifest("one"), CONFIG_MAP, manifest("two"), ""])
    documents = read([written(tmp_path, text)])
    assert names_of(documents) == ["one", "two"]
    assert [one.line for one in documents] == [1, 16]


def test_a_bad_manifest_does_not_hide_a_good_one(tmp_path):
    text = "---\n".join([manifest("One"), manifest("two")])
    first, second = read([written(tmp_path, text)])
    assert [one.path for one in first.problems] == ["metadata.name"]
    assert second.training.metadata.name == "two"


def test_a_text_that_breaks_off_keeps_what_stands_before(tmp_path):
    first, second = read([written(tmp_path, manifest() + "---\na: [")])
    assert first.training is not None
    assert "bracket" in second.problems[0].message


def test_a_flaw_of_the_text_is_a_problem_of_its_document(tmp_path):
    (document,) = read([written(tmp_path, manifest() + "  suspend: true\n  suspend: false\n")])
    (problem,) = document.problems
    assert (problem.path, problem.line) == ("spec.suspend", 12)
    assert "twice" in problem.message


def test_a_bomb_is_a_problem(tmp_path):
    levels = [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    text = "\n".join([manifest() + "  a0: &a0 [1, 2]", *levels])
    assert "unfolds" in problem_of(written(tmp_path, text)).message


def test_folders_are_read_by_name_and_recursively(tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "deep" / "x.yml").write_text(manifest("deep"))
    (tmp_path / "z.yaml").write_text(manifest("last"))
    (tmp_path / "a.json").write_text(written_json("first"))
    (tmp_path / "other.yaml").write_text(CONFIG_MAP)
    (tmp_path / "template.yaml").write_text("a: {{ .Values.x }}")
    (tmp_path / "notes.txt").write_text(manifest("text"))
    (tmp_path / ".git" / "x.yaml").write_text(manifest("hidden"))
    (tmp_path / ".x.yaml").write_text(manifest("hidden-too"))
    documents = read([str(tmp_path)])
    assert [one.problems for one in documents] == [(), (), ()]
    assert names_of(documents) == ["first", "last", "deep"]


def written_json(name: str) -> str:
    return yaml.safe_dump(a_manifest({"metadata.name": name}), default_flow_style=True)


def test_a_broken_manifest_in_a_folder_is_a_problem(tmp_path):
    written(tmp_path, manifest() + "  x: [")
    assert "bracket" in problem_of(tmp_path).message


def test_a_misspelt_kind_in_a_folder_is_a_problem(tmp_path):
    written(tmp_path, manifest().replace("UncensorTraining", "Uncensortraining"))
    assert 'did you mean "UncensorTraining"?' in problem_of(tmp_path).message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("", 0, "is empty", id="empty"),
        pytest.param("# nothing\n---\n", 0, "is empty", id="comments"),
        pytest.param(CONFIG_MAP, 0, "but: ConfigMap", id="another kind"),
        pytest.param("- a\n- b\n", 1, "a list of 2; wanted an object with apiVersion", id="a list"),
        pytest.param("hello", 1, 'text "hello"; wanted an object', id="text"),
        pytest.param("a: [", 1, "cannot be read as YAML", id="no YAML"),
    ],
)
def test_a_named_file_without_a_manifest_is_a_problem(tmp_path, text, line, words):
    problem = problem_of(written(tmp_path, text))
    assert words in problem.message
    assert problem.line in {line, line + 1}
    assert problem.path == ""


def test_a_manifest_without_kind_says_so(tmp_path):
    (document,) = read([written(tmp_path, "spec:\n  model: {path: x}\n")])
    assert {one.path for one in document.problems} == {
        "apiVersion",
        "kind",
        "metadata",
        "spec.datasets",
    }


def test_binary_is_a_problem(tmp_path):
    (tmp_path / "m.yaml").write_bytes(b"\x80\x02")
    assert "UTF-8" in problem_of(tmp_path / "m.yaml").message
    (tmp_path / "m.yaml").write_bytes(b"a\x00")
    assert "U+0000" in problem_of(tmp_path / "m.yaml").message


def test_a_missing_file_is_a_problem(tmp_path):
    problem = problem_of(tmp_path / "no.yaml")
    assert "no such file or folder" in problem.message
    assert str(problem) == f"{tmp_path / 'no.yaml'}: {problem.message}"


def test_a_folder_without_manifests_is_a_problem(tmp_path):
    written(tmp_path, CONFIG_MAP)
    assert "holds no UncensorTraining" in problem_of(tmp_path).message


def test_a_file_that_cannot_be_opened_is_a_problem(tmp_path):
    # A link to itself cannot be opened by anybody, root included.
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    assert "cannot be read" in problem_of(tmp_path / "loop.yaml").message


def test_a_link_back_does_not_go_round_in_circles(tmp_path):
    written(tmp_path, manifest())
    (tmp_path / "again").symlink_to(tmp_path)
    assert names_of(read([str(tmp_path)])) == ["my-run"]


def test_a_file_named_twice_is_read_once(tmp_path):
    path = written(tmp_path, manifest())
    assert names_of(read([path, str(tmp_path), os.path.relpath(path)])) == ["my-run"]


def test_standard_input_is_read(monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(manifest("piped").encode() + b"  suspend: 1\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    (document,) = read(["-"])
    (problem,) = document.problems
    assert str(problem).startswith("<stdin>:11: spec.suspend: found the number 1")


def test_lists_of_kubectl_are_taken_apart(tmp_path):
    items = [a_manifest({"metadata.name": "one"}), a_manifest({"metadata.name": "Two"})]
    path = written(tmp_path, {"apiVersion": "v1", "kind": "List", "items": items})
    first, second = read([path])
    assert first.training.metadata.name == "one"
    assert [one.path for one in second.problems] == ["metadata.name"]
    assert second.line > first.line


def test_flaws_inside_lists_find_their_manifest(tmp_path):
    text = "apiVersion: v1\nkind: List\nitems:\n"
    for name in ("one", "two"):
        lines = manifest(name).splitlines()
        text += "- " + "\n  ".join(lines) + "\n"
    first, second = read([written(tmp_path, text + "    suspend: true\n    suspend: true\n")])
    assert first.problems == ()
    assert [one.path for one in second.problems] == ["spec.suspend"]


def test_two_runs_of_one_name_are_a_problem(tmp_path):
    path = written(tmp_path, manifest() + "---\n" + manifest())
    first, second = read([path])
    assert first.problems == ()
    assert second.training is None
    (problem,) = second.problems
    assert (problem.path, problem.line) == ("metadata.name", 15)
    assert f"{path}:1" in problem.message


def test_runs_of_one_name_in_two_namespaces_are_none(tmp_path):
    one, two = (a_manifest({"metadata.namespace": name}) for name in ("a", "b"))
    files = [written(tmp_path, one, "1.yaml"), written(tmp_path, two, "2.yaml")]
    assert names_of(read(files)) == ["my-run", "my-run"]


def test_a_later_problem_gets_the_line_of_its_field(tmp_path):
    path = written(tmp_path, manifest() + "  training:\n    packing: on\n")
    (document,) = read([path], ["training.seed=7"])
    located = document.located(Problem("spec.training.packing", "no"))
    assert str(located) == f"{path}:12: spec.training.packing: no"
    assert document.located(Problem("spec.datasets[0].path", "no")).line == 10
    assert document.located(Problem("spec.publish", "no")).line == 5
    override = document.located(Problem("spec.training.seed", "no"))
    assert (override.file, override.line) == ("--set training.seed=7", 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text("ab", max_size=3), one),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(sorted(paths_of(UncensorTraining))), value=JSON)
def test_any_value_anywhere_is_read_or_refused_with_words(tmp_path, path, value):
    (document,) = read([written(tmp_path, a_manifest_with(path, value))])
    assert (document.training is None) == bool(document.problems)
    for problem in document.problems:
        assert problem.message
        assert problem.line >= 1


def a_manifest_with(path: str, value: object) -> dict:
    """Set a value; what stands in the way is replaced."""
    manifest = a_manifest()
    *above, last = path.split(".")
    target = manifest
    for part in above:
        if not isinstance(target.get(part), dict):
            target[part] = {}
        target = target[part]
    target[last] = value
    return manifest
