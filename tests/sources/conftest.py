"""What the tests of the sources share: a tiny model, a workspace, and a run of fetch."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from support.tokenizers import CHAT, a_tokenizer
from uncensor_trainer.progress import Progress
from uncensor_trainer.run import StageContext
from uncensor_trainer.runfile import read_run_file
from uncensor_trainer.stages import fetch
from uncensor_trainer.workspace import Workspace

KEEP_ALL = dict.fromkeys(
    ("refusal", "partial", "moralise", "capability", "disclaimer", "placeholder", "identity"),
    "drop",
)

HIDDEN = 32


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


@pytest.fixture(scope="session")
def gguf_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole tiny GGUF file: a Llama with Q4_1 weights, a tokenizer and a chat template."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    _write_hyperparameters(writer)
    _write_tokenizer(writer)
    rng = np.random.default_rng(0)
    for name, shape in _gguf_shapes().items():
        values = rng.normal(size=shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values)
        else:
            kind = gguf.GGMLQuantizationType.Q4_1
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def _write_hyperparameters(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(2 * HIDDEN)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // 2)
    writer.add_rope_freq_base(10000.0)


def _write_tokenizer(writer: gguf.GGUFWriter) -> None:
    tokens, merges = _bpe()
    kinds = [gguf.TokenType.CONTROL if t[:2] == "<|" else gguf.TokenType.NORMAL for t in tokens]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<|im_start|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_chat_template(CHAT)


def _bpe() -> tuple[list[str], list[str]]:
    spec = json.loads(a_tokenizer().backend_tokenizer.to_str())["model"]
    tokens = sorted(spec["vocab"], key=spec["vocab"].get)
    return tokens, [" ".join(pair) for pair in spec["merges"]]


def _gguf_shapes() -> dict[str, tuple[int, ...]]:
    square, wide = (HIDDEN, HIDDEN), (2 * HIDDEN, HIDDEN)
    block = {
        **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), square),
        **dict.fromkeys(("ffn_gate", "ffn_up"), wide),
        "ffn_down": wide[::-1],
        **dict.fromkeys(("attn_norm", "ffn_norm"), (HIDDEN,)),
    }
    return {
        "token_embd.weight": (len(_bpe()[0]), HIDDEN),
        "output_norm.weight": (HIDDEN,),
        **{f"blk.0.{name}.weight": shape for name, shape in block.items()},
    }


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
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress_lines(stream: io.StringIO) -> Callable[[], list[dict[str, Any]]]:
    """Return what fetch has written on standard output so far."""
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def run_file(workspace: Workspace) -> Callable[..., Path]:
    """Write the run file of a fetch stage; the arguments are its fields."""

    def written(**changes: Any) -> Path:
        document = {
            "run": workspace.run,
            "workspace": str(workspace.root),
            "stages": [{"name": "fetch", "digest": "0"}],
            "filter": {"actions": KEEP_ALL},
            "datasets": [{"name": "rows", "source": {"kind": "path", "path": "rows.json"}}],
            **changes,
        }
        path = workspace.root / f"{document['run']}.run.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return written


@pytest.fixture
def fetched(
    workspace: Workspace, stream: io.StringIO, run_file: Callable[..., Path]
) -> Callable[..., dict[str, Any]]:
    """Run fetch and return sources.json; the arguments are fields of the run file."""

    def run(**changes: Any) -> dict[str, Any]:
        path = run_file(**changes)
        out = workspace.begin("fetch", "0")
        progress = Progress("fetch", stream=stream, silent=False)
        fetch.run(StageContext(read_run_file(path), "fetch", workspace, progress), out)
        found: dict[str, Any] = json.loads((out / "sources.json").read_text(encoding="utf-8"))
        return found

    return run
