import os

from support.runs import make_run
from uncensor_operator.local import fingerprints as module
from uncensor_operator.local.fingerprints import fingerprints, locate
from uncensor_trainer.runfile import Dataset, HttpSource, PackageSource, PathSource

BUNDLED = "uncensor_trainer/bundled/probe.jsonl"


def test_an_edited_file_has_another_fingerprint(tmp_path):
    (tmp_path / "rows.json").write_text("[1]")
    run = make_run(tmp_path)
    before = fingerprints(run)["dataset/rows"]
    (tmp_path / "rows.json").write_text("[2]")
    assert fingerprints(run)["dataset/rows"] != before


def test_a_touched_file_has_the_same_one(tmp_path):
    (tmp_path / "rows.json").write_text("[1]")
    before = fingerprints(make_run(tmp_path))["dataset/rows"]
    os.utime(tmp_path / "rows.json", (1, 1))
    assert fingerprints(make_run(tmp_path))["dataset/rows"] == before


def test_a_large_file_counts_by_size_and_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HASHED_BYTES", 2)
    (tmp_path / "rows.json").write_text("[1]")
    before = fingerprints(make_run(tmp_path))["dataset/rows"]
    os.utime(tmp_path / "rows.json", (1, 1))
    assert fingerprints(make_run(tmp_path))["dataset/rows"] != before


def test_a_folder_counts_with_all_its_files(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    before = fingerprints(make_run(tmp_path))["model"]
    (tmp_path / "base" / "more.json").write_text("{}")
    assert fingerprints(make_run(tmp_path))["model"] != before


def test_what_is_not_here_has_none(tmp_path):
    remote = Dataset(name="rows", source=HttpSource(url="http://localhost/rows.json"))
    found = fingerprints(make_run(tmp_path, datasets=(remote,)))
    assert "dataset/rows" not in found
    assert "model" not in found


def test_the_bundled_lists_count():
    assert {f"bundled/{name}" for name in module.BUNDLED} <= set(fingerprints(make_run()))


def test_a_file_in_a_package_is_found_without_importing_it(tmp_path):
    source = PackageSource(name="uncensor-operator", file=BUNDLED)
    assert locate(source, tmp_path).name == "probe.jsonl"
    assert locate(PackageSource(name="nothing", file="nothing_at_all/x"), tmp_path) is None
    assert locate(PathSource(path="nowhere"), tmp_path) is None
