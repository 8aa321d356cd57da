import json
import subprocess
import sys

import pytest

from support.command import EXAMPLES, uncensor

GOOD = (EXAMPLES / "quickstart.yaml").read_text()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_valid(path):
    done = uncensor("validate", path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wrong_field_is_named_with_its_line_and_a_remedy(tmp_path):
    path = tmp_path / "training.yaml"
    path.write_text(GOOD.replace("learningRate:", "learningrate:"))
    done = uncensor("validate", path)
    line = next(
        n for n, text in enumerate(path.read_text().splitlines(), 1) if "learningrate" in text
    )
    assert done.returncode == 1
    assert f"{path}:{line}" in done.stderr
    assert "learningRate" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_this_version_cannot_do_is_refused_with_a_sentence(tmp_path):
    path = tmp_path / "training.yaml"
    target = "{repo: me/model, tokenSecretRef: {name: hf, key: token}}"
    path.write_text(f"{GOOD}  publish:\n    huggingFace: {target}\n")
    done = uncensor("validate", path)
    assert done.returncode == 1
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "publish" in text)
    assert f"{path}:{line}" in done.stderr
    assert uncensor("run", path, "--dry-run").returncode == 1


def test_several_documents_and_folders_are_all_checked(tmp_path):
    (tmp_path / "good.yaml").write_text(
        GOOD + "\n---\n" + GOOD.replace("name: quickstart", "name: second", 1)
    )
    (tmp_path / "bad.yaml").write_text(
        GOOD.replace("kind: UncensorTraining", "kind: UncensorTraning")
    )
    (tmp_path / "bad2.yaml").write_text(GOOD.replace("globalBatchSize: 8", "globalBatchSize: -1"))
    done = uncensor("validate", tmp_path, "--json")
    verdicts = json.loads(done.stdout)
    assert done.returncode == 1
    assert [one["name"] for one in verdicts if one["valid"]] == ["quickstart", "second"]
    assert any("globalBatchSize" in p["path"] for one in verdicts for p in one["problems"])


def test_standard_input_is_a_dash():
    assert uncensor("validate", "-", stdin=GOOD).returncode == 0


@pytest.mark.parametrize("text", ["", "a: [1", "\x00\x01", "[]", "just words"])
def test_what_is_no_manifest_gets_a_sentence(tmp_path, text):
    path = tmp_path / "training.yaml"
    path.write_text(text)
    done = uncensor("validate", path)
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_gets_a_sentence(tmp_path):
    done = uncensor("validate", tmp_path / "nowhere.yaml")
    assert done.returncode == 1
    assert "nowhere.yaml" in done.stderr


def test_neither_help_nor_validate_load_what_they_do_not_need():
    heavy = ("torch", "transformers", "numpy", "kubernetes", "kopf", "pyarrow")
    code = (
        "import sys\nfrom uncensor_operator.cli.__main__ import app\n"
        f"sys.argv = ['uncensor', 'validate', {str(EXAMPLES / 'quickstart.yaml')!r}]\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
