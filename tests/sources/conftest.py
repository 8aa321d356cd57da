"""What the tests of the sources share: a tiny model, a workspace, and a run of fetch."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from support.tokenizers import a_tokenizer
from uncensor_trainer.progress import Progress
from uncensor_trainer.run import StageContext
from uncensor_trainer.runfile import read_run_file
from uncensor_trainer.stages import fetch
from uncensor_trainer.workspace import Workspace

KEEP_ALL = dict.fromkeys(
    ("refusal", "moralise", "capability", "disclaimer", "placeholder", "identity"), "drop"
)


@pytest.fixture(scope="session")
def model_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny") / "model"
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="20KB")
    a_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def model(model_template: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage; it has several shards and their index."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for file in model_template.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    root.mkdir()
    return Workspace(root, "night")


@pytest.fixture
def rows(workspace: Workspace) -> Path:
    path = workspace.root / "rows.json"
    path.write_text('[{"instruction": "a", "output": "b"}]', encoding="utf-8")
    return path


@pytest.fixture
def silent() -> Progress:
    return Progress("fetch", stream=io.StringIO(), silent=True)


@pytest.fixture
def fetched(workspace: Workspace, silent: Progress) -> Callable[..., dict[str, Any]]:
    """Run fetch and return sources.json; the arguments are fields of the run file."""

    def run(**changes: Any) -> dict[str, Any]:
        document = {
            "run": workspace.run,
            "workspace": str(workspace.root),
            "stages": [{"name": "fetch", "digest": "0"}],
            "filter": {"actions": KEEP_ALL},
            "datasets": [{"name": "rows", "source": {"kind": "path", "path": "rows.json"}}],
            **changes,
        }
        path = workspace.root / "run.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        out = workspace.begin("fetch", "0")
        fetch.run(StageContext(read_run_file(path), "fetch", workspace, silent), out)
        found: dict[str, Any] = json.loads((out / "sources.json").read_text(encoding="utf-8"))
        return found

    return run
