"""Gather what a plan on this machine is made from."""

from __future__ import annotations

from pathlib import Path

from uncensor_operator.local.fingerprints import fingerprints, locate
from uncensor_operator.local.machine import look_at_machine
from uncensor_operator.plan.observed import DataFacts, ModelFacts, Observed
from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.sources.shape import model_shape
from uncensor_trainer.workspace import Workspace, read_json, read_lines

STAGES = ("fetch", "filter", "prepare", "train", "train-control", "probe", "evaluate", "report")


def observe(run: RunFile) -> Observed:
    """Return the facts about this machine, the sources on it and the run's workspace."""
    workspace = Workspace(Path(run.workspace), run.run)
    return Observed(
        machine=look_at_machine(workspace.root),
        fingerprints=fingerprints(run),
        done=done_stages(workspace),
        model=_model(run, workspace),
        data=_data(run, workspace),
        tokens_per_second=_speed(workspace),
    )


def done_stages(workspace: Workspace) -> dict[str, str]:
    """Return the digest of each complete output."""
    records = {stage: workspace.record(stage) for stage in STAGES}
    return {stage: str(record["digest"]) for stage, record in records.items() if record}


def _model(run: RunFile, workspace: Workspace) -> ModelFacts | None:
    """The model's shape, from what fetch left or from where the source lies already."""
    sources = read_json(workspace.output("fetch") / "sources.json") or {}
    fetched = sources.get("model")
    if isinstance(fetched, dict):
        return _from_config(workspace.root / str(fetched["folder"]))
    path = locate(run.model, workspace.root)
    if path is None:
        return None
    return _from_config(path) if path.is_dir() else _from_gguf(path)


def _from_config(folder: Path) -> ModelFacts | None:
    shape = model_shape(folder)
    return ModelFacts(**shape) if shape else None


def _from_gguf(path: Path) -> ModelFacts | None:
    if path.suffix != ".gguf":
        return None
    try:
        from gguf import GGUFReader  # noqa: PLC0415 - half a second, for GGUF sources only
    except ImportError:
        return None
    reader = GGUFReader(path)
    architecture = reader.fields["general.architecture"].contents()
    embeddings = next((t for t in reader.tensors if t.name == "token_embd.weight"), None)
    if embeddings is None:
        return None
    return ModelFacts(
        parameters=sum(int(tensor.n_elements) for tensor in reader.tensors),
        hidden_size=int(reader.fields[f"{architecture}.embedding_length"].contents()),
        layers=int(reader.fields[f"{architecture}.block_count"].contents()),
        vocabulary=int(max(embeddings.shape)),
    )


def _data(run: RunFile, workspace: Workspace) -> DataFacts | None:
    rows = _number(workspace, "filter", "kept")
    summary = (workspace.record("prepare") or {}).get("summary")
    arm = summary.get("filtered") if isinstance(summary, dict) else None
    counted = arm if isinstance(arm, dict) else {}
    found = [locate(one.source, workspace.root) for one in run.datasets]
    files = [path for path in found if path is not None]
    if len(files) < len(found) and not counted:
        return None
    size = sum(_size(path) for path in files)
    return DataFacts(size, rows, _whole(counted.get("tokens")), _whole(counted.get("longest")))


def _whole(value: Json) -> int | None:
    return int(value) if isinstance(value, int | float) else None


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _number(workspace: Workspace, stage: str, key: str) -> int | None:
    summary = (workspace.record(stage) or {}).get("summary")
    return _whole(summary.get(key)) if isinstance(summary, dict) else None


def _speed(workspace: Workspace) -> float | None:
    """The speed of the latest steps of an earlier training of this run."""
    rows = read_lines(workspace.run_dir / "metrics.jsonl")[-20:]
    speeds = [row["tokens_per_second"] for row in rows if row.get("tokens_per_second")]
    numbers = [float(speed) for speed in speeds if isinstance(speed, int | float)]
    return sum(numbers) / len(numbers) if numbers else None
