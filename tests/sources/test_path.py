import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.workspace import Workspace

Fetch = Callable[..., dict[str, Any]]


def path_to(where: object) -> dict[str, str]:
    return {"kind": "path", "path": str(where)}


@pytest.mark.usefixtures("rows")
def test_a_model_folder_is_used_in_place_and_loads(fetched: Fetch, model: Path) -> None:
    entry = fetched(model=path_to(model))["model"]
    assert entry["folder"] == str(model)
    AutoModelForCausalLM.from_pretrained(entry["folder"])


def test_every_file_of_a_model_is_recorded_with_its_digest(
    fetched: Fetch, model: Path, rows: Path
) -> None:
    found = fetched(model=path_to(model))
    content = {file["name"]: file for file in found["model"]["content"]}
    shard = sorted(model.glob("*.safetensors"))[0]
    assert content[shard.name]["sha256"] == hashlib.sha256(shard.read_bytes()).hexdigest()
    assert content[shard.name]["size"] == shard.stat().st_size
    assert found["datasets"]["rows"]["files"] == [str(rows)]


def test_a_folder_gives_its_data_files_sorted(
    fetched: Fetch, model: Path, workspace: Workspace
) -> None:
    folder = workspace.root / "many"
    folder.mkdir()
    for name in ("b.jsonl", "a.json", "c.parquet", "notes.md"):
        (folder / name).write_text("{}", encoding="utf-8")
    found = fetched(model=path_to(model), datasets=[{"name": "many", "source": path_to("many")}])
    names = [Path(file).name for file in found["datasets"]["many"]["files"]]
    assert names == ["a.json", "b.jsonl", "c.parquet"]


@pytest.mark.usefixtures("rows")
def test_side_inputs_are_fetched_only_when_they_are_named(fetched: Fetch, model: Path) -> None:
    plain = fetched(model=path_to(model))
    assert set(plain) == {"model", "datasets"}
    full = fetched(
        model=path_to(model),
        probe={"input": path_to("rows.json")},
        evaluation={
            "baseline": path_to(model),
            "refusal": {"prompts": path_to("rows.json")},
            "perplexity_answers": path_to("rows.json"),
        },
    )
    assert set(full) == {"model", "baseline", "datasets", "probe", "prompts", "answers"}


def test_a_missing_path_is_named_absolutely(
    fetched: Fetch, model: Path, workspace: Workspace
) -> None:
    with pytest.raises(InvalidInput, match=str(workspace.root / "gone.json")):
        fetched(model=path_to(model), datasets=[{"name": "x", "source": path_to("gone.json")}])


@pytest.mark.parametrize(
    ("where", "told"),
    [
        pytest.param("x" * 300 + ".json", "cannot be read: File name too long", id="long name"),
        pytest.param("~nobody-of-that-name/a.json", "names a user", id="unknown user"),
        pytest.param("loop.json", "There is no file", id="link to itself"),
        pytest.param("notes.md", "not a data file", id="kind"),
        pytest.param("empty", "has no data files", id="folder without data"),
    ],
)
def test_a_path_that_cannot_be_used_is_told(
    fetched: Fetch, model: Path, workspace: Workspace, where: str, told: str
) -> None:
    (workspace.root / "loop.json").symlink_to("loop.json")
    (workspace.root / "notes.md").touch()
    (workspace.root / "empty").mkdir()
    with pytest.raises(InvalidInput, match=told):
        fetched(model=path_to(model), datasets=[{"name": "x", "source": path_to(where)}])


@pytest.mark.usefixtures("rows")
def test_a_model_that_is_a_file_is_told(fetched: Fetch, model: Path) -> None:
    with pytest.raises(InvalidInput, match="wanted the folder"):
        fetched(model=path_to(model / "config.json"))


def damaged_index(model: Path, shard: str) -> None:
    index = model / "model.safetensors.index.json"
    value = json.loads(index.read_text())
    value["weight_map"][next(iter(value["weight_map"]))] = shard
    index.write_text(json.dumps(value))


def remove_first_shard(model: Path) -> None:
    sorted(model.glob("*.safetensors"))[0].unlink()


def add_foreign_shard(model: Path) -> None:
    (model / "consolidated.safetensors").write_bytes(b"x")


def cut_first_shard(model: Path) -> None:
    shard = sorted(model.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])


def leave_lfs_pointer(model: Path) -> None:
    shard = sorted(model.glob("*.safetensors"))[0]
    shard.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


def keep_pickles_only(model: Path) -> None:
    for path in model.glob("model*.safetensors*"):
        path.unlink()
    (model / "pytorch_model.bin").write_bytes(b"x")


def bring_code(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "modeling.Evil"}
    (model / "config.json").write_text(json.dumps(config))


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(remove_first_shard, "lacks 1 of the", id="shard missing"),
        pytest.param(add_foreign_shard, "consolidated.safetensors", id="shard unlisted"),
        pytest.param(cut_first_shard, "not a whole safetensors file", id="shard cut off"),
        pytest.param(leave_lfs_pointer, "git lfs pull", id="git-lfs pointer"),
        pytest.param(keep_pickles_only, "pickled weights.*save_pretrained", id="pickles"),
        pytest.param(bring_code, "never run here", id="remote code"),
        pytest.param(
            lambda model: damaged_index(model, "../evil.safetensors"), "unsafe", id="climbing out"
        ),
        pytest.param(
            lambda model: damaged_index(model, "/etc/x.safetensors"), "unsafe", id="absolute"
        ),
        pytest.param(
            lambda model: damaged_index(model, "sub/x.safetensors"), "same folder", id="subfolder"
        ),
        pytest.param(lambda model: (model / "config.json").unlink(), "no config.json", id="none"),
        pytest.param(
            lambda model: (model / "config.json").write_text("{"), "is not JSON", id="torn config"
        ),
    ],
)
def test_an_unacceptable_model_is_refused_with_the_remedy(
    fetched: Fetch, model: Path, damage: Callable[[Path], object], told: str
) -> None:
    damage(model)
    with pytest.raises(InvalidInput, match=told):
        fetched(model=path_to(model))
