import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from transformers import AutoModelForCausalLM

from support.hub_server import COMMIT, Hub, hub_server
from uncensor_trainer.exits import InvalidInput, SourceUnavailable, WorkspaceFailure
from uncensor_trainer.workspace import Workspace

Fetch = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.usefixtures("rows")


@pytest.fixture
def hub(model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    extra = {
        "README.md": b"x",
        "modeling.py": b"evil",
        "pytorch_model.bin": b"pickle",
        "consolidated.safetensors": b"x",
        "original/params.json": b"{}",
    }
    data = {"data/train.jsonl": b'{"a": 1}\n', "data/test.jsonl": b"{}\n", "load.py": b"evil"}
    with hub_server({"models/me/tiny": {**files, **extra}, "datasets/me/rows": data}) as state:
        monkeypatch.setenv("HF_ENDPOINT", state.url)
        monkeypatch.setenv("HF_TOKEN", "")
        yield state


def tiny(**changes: Any) -> dict[str, Any]:
    return {"kind": "huggingFace", "repo": "me/tiny", **changes}


def hub_rows(**changes: Any) -> dict[str, Any]:
    source = {"kind": "huggingFace", "repo": "me/rows", "repo_type": "dataset", **changes}
    return {"datasets": [{"name": "rows", "source": source}]}


@pytest.mark.usefixtures("hub")
def test_a_model_is_pinned_to_a_commit_and_loads(fetched: Fetch, workspace: Workspace) -> None:
    entry = fetched(model=tiny())["model"]
    assert entry["revision"] == COMMIT
    assert entry["folder"].startswith("models/")
    AutoModelForCausalLM.from_pretrained(workspace.root / entry["folder"])


@pytest.mark.usefixtures("hub")
def test_only_what_a_loader_needs_comes(fetched: Fetch, workspace: Workspace, model: Path) -> None:
    folder = workspace.root / fetched(model=tiny())["model"]["folder"]
    names = {path.name for path in folder.rglob("*")}
    assert names == {path.name for path in model.iterdir()} | {"source.json"}


def test_a_pinned_commit_that_is_cached_asks_the_hub_nothing(hub: Hub, fetched: Fetch) -> None:
    fetched(model=tiny())
    hub.asked.clear()
    fetched(model=tiny(revision=COMMIT))
    assert hub.asked == []


def test_an_interrupted_download_goes_on(hub: Hub, fetched: Fetch, model: Path) -> None:
    shard = sorted(model.glob("*.safetensors"))[-1].name
    hub.tampered = {shard}
    with pytest.raises(SourceUnavailable, match="other content"):
        fetched(model=tiny())
    hub.tampered = set()
    hub.asked.clear()
    fetched(model=tiny())
    downloaded = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert downloaded == {shard}


def test_a_file_that_was_cut_goes_on_in_its_middle(
    hub: Hub, fetched: Fetch, model: Path, workspace: Workspace
) -> None:
    # The library writes in pieces of 10 MiB.
    piece = 10 * 2**20
    content = b'{"instruction": "a", "output": "b"}\n' * (piece // 30)
    hub.repositories["datasets/me/rows"]["data/train.jsonl"] = content
    hub.cuts = {"data/train.jsonl": piece + 5}
    named = {"kind": "path", "path": str(model)}
    entry = fetched(model=named, **hub_rows(files=["data/train*"]))["datasets"]["rows"]
    assert (workspace.root / entry["files"][0]).read_bytes() == content
    assert ("data/train.jsonl", f"bytes={piece}-") in hub.ranges


def test_what_came_stays_when_a_token_runs_out_meanwhile(
    hub: Hub, fetched: Fetch, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = sorted(path.name for path in model.glob("*.safetensors"))
    hub.cuts = {shards[-1]: 0}
    hub.refuses_after = shards[-1]
    with pytest.raises(InvalidInput, match="or is private"):
        fetched(model=tiny())
    monkeypatch.setenv("HF_TOKEN", str(hub.token))
    hub.refuses_after = None
    hub.asked.clear()
    fetched(model=tiny())
    downloaded = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert shards[-1] in downloaded
    assert "config.json" not in downloaded


def test_a_model_larger_than_the_disk_is_refused_before_it_comes(
    hub: Hub, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Mock(free=20_000))
    with pytest.raises(WorkspaceFailure, match="GB free"):
        fetched(model=tiny())
    assert not [path for path in hub.asked if path.endswith(".safetensors")]


@pytest.mark.usefixtures("hub")
def test_progress_tells_bytes_up_to_the_last(
    fetched: Fetch, model: Path, progress_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    fetched(model=tiny())
    weights = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    last = [line for line in progress_lines() if line["event"] == "progress"][-1]
    assert (last["step"], last["total"], last["unit"]) == (weights, weights, "bytes")


@pytest.mark.usefixtures("hub")
def test_data_files_are_chosen_by_patterns(
    fetched: Fetch, model: Path, workspace: Workspace
) -> None:
    named = {"kind": "path", "path": str(model)}
    entry = fetched(model=named, **hub_rows(files=["data/train*"]))["datasets"]["rows"]
    assert [Path(file).name for file in entry["files"]] == ["train.jsonl"]
    assert (workspace.root / entry["files"][0]).read_bytes() == b'{"a": 1}\n'
    both = fetched(model=named, **hub_rows())["datasets"]["rows"]
    assert [Path(file).name for file in both["files"]] == ["test.jsonl", "train.jsonl"]


@pytest.mark.usefixtures("hub")
def test_a_pattern_that_matches_nothing_shows_what_there_is(fetched: Fetch, model: Path) -> None:
    named = {"kind": "path", "path": str(model)}
    with pytest.raises(InvalidInput, match=r"data/test\.jsonl"):
        fetched(model=named, **hub_rows(files=["*.csv"]))


def test_the_token_comes_from_a_file(
    hub: Hub, fetched: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"  # noqa: S105 - of the fake hub
    (tmp_path / "token").write_text("hf_secret\n")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    assert fetched(model=tiny())["model"]["revision"] == COMMIT


def test_a_shard_that_the_repository_lacks_is_found_before_downloading(
    hub: Hub, fetched: Fetch, model: Path
) -> None:
    shard = sorted(model.glob("*.safetensors"))[0].name
    del hub.repositories["models/me/tiny"][shard]
    with pytest.raises(InvalidInput, match=shard):
        fetched(model=tiny())
    assert not [path for path in hub.asked if path.endswith(".safetensors")]


def test_pickled_weights_are_refused_and_never_downloaded(hub: Hub, fetched: Fetch) -> None:
    files = hub.repositories["models/me/tiny"]
    for name in [name for name in files if "safetensors" in name]:
        del files[name]
    with pytest.raises(InvalidInput, match="pickled weights"):
        fetched(model=tiny())
    assert not [path for path in hub.asked if path.endswith(".bin")]


def be_gated(hub: Hub) -> None:
    hub.gated = {"models/me/tiny"}


def want_a_token(hub: Hub) -> None:
    hub.token = "x"  # noqa: S105 - of the fake hub


def be_broken(hub: Hub) -> None:
    hub.status = 400


@pytest.mark.parametrize(
    ("arrange", "source", "told"),
    [
        pytest.param(be_gated, tiny(), "accept its terms", id="gated"),
        pytest.param(want_a_token, tiny(), "or is private", id="private"),
        pytest.param(None, tiny(repo="me/gone"), "does not exist", id="missing"),
        pytest.param(None, tiny(revision="v9"), "no such revision", id="revision"),
        pytest.param(None, tiny(repo="a/b/c"), "owner/name", id="name"),
    ],
)
def test_a_refusal_of_the_hub_is_told_in_a_sentence(
    hub: Hub,
    fetched: Fetch,
    arrange: Callable[[Hub], None] | None,
    source: dict[str, Any],
    told: str,
) -> None:
    if arrange is not None:
        arrange(hub)
    with pytest.raises(InvalidInput, match=told):
        fetched(model=source)


def test_a_hub_with_an_error_of_its_own_is_unavailable(hub: Hub, fetched: Fetch) -> None:
    hub.status = 500
    with pytest.raises(SourceUnavailable, match="answers 500"):
        fetched(model=tiny())


def test_a_page_in_place_of_a_hub_is_told(hub: Hub, fetched: Fetch) -> None:
    hub.is_a_web_page = True
    with pytest.raises(SourceUnavailable, match="is not a hub"):
        fetched(model=tiny())


@pytest.mark.parametrize(
    "endpoint", ["hub.example", "ftp://hub.example", "http://", "http://a..b", "http://a:99999"]
)
def test_an_endpoint_that_is_no_address_is_the_users(
    fetched: Fetch, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(InvalidInput, match="HF_ENDPOINT is not an address"):
        fetched(model=tiny())


def test_remote_code_is_refused_before_the_weights_come(hub: Hub, fetched: Fetch) -> None:
    files = hub.repositories["models/me/tiny"]
    config = json.loads(files["config.json"])
    config["auto_map"] = {"AutoModelForCausalLM": "modeling.Evil"}
    files["config.json"] = json.dumps(config).encode()
    with pytest.raises(InvalidInput, match="never run here"):
        fetched(model=tiny())
    assert not [path for path in hub.asked if path.endswith((".safetensors", ".py"))]


def test_a_token_is_never_shown(
    hub: Hub, fetched: Fetch, monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    hub.token = "hf_hunter2"  # noqa: S105 - of the fake hub
    monkeypatch.setenv("HF_TOKEN", "hf_hunter3")
    with pytest.raises(InvalidInput) as caught:
        fetched(model=tiny())
    assert "hunter" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_hunter2")
    fetched(model=tiny())
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert [path for path in files if b"hunter" in path.read_bytes()] == []


def test_a_hub_that_does_not_answer_is_unavailable(
    fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        fetched(model=tiny())


@pytest.mark.usefixtures("hub")
def test_weights_are_recorded_with_the_digest_that_the_hub_lists(
    fetched: Fetch, model: Path
) -> None:
    content = {file["name"]: file["sha256"] for file in fetched(model=tiny())["model"]["content"]}
    for shard in model.glob("*.safetensors"):
        assert content[shard.name] == hashlib.sha256(shard.read_bytes()).hexdigest()
