"""What a source on this machine contains, in a few characters.

A source in the network is pinned by fetch, once. A file on this machine can change between two
commands, and the stages that read it must notice.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path

from uncensor_trainer.runfile import PackageSource, PathSource, RunFile, Source

# Small files are hashed; for larger ones (weights) size and time of change have to do.
HASHED_BYTES = 64 * 2**20
BUNDLED = ("refusal_prompts.jsonl", "clean_answers.jsonl", "probe.jsonl")


def fingerprints(run: RunFile) -> dict[str, str]:
    """Return the fingerprint of every source on this machine, by role; see `plan.pipeline`."""
    found = {
        role: _fingerprint(source, Path(run.workspace)) for role, source in _sources(run).items()
    }
    bundled = _package_folder("uncensor_trainer")
    for name in BUNDLED:
        found[f"bundled/{name}"] = _of_path(bundled / "bundled" / name) if bundled else None
    return {role: value for role, value in found.items() if value is not None}


def locate(source: Source, workspace: Path) -> Path | None:
    """Return where a source lies on this machine; None for one in the network or a missing one."""
    if isinstance(source, PathSource):
        path = workspace / source.path
        return path if path.exists() else None
    if isinstance(source, PackageSource):
        package, _, below = source.file.partition("/")
        folder = _package_folder(package)
        return folder / below if folder is not None and (folder / below).exists() else None
    return None


def _sources(run: RunFile) -> dict[str, Source]:
    sources: dict[str, Source | None] = {
        "model": run.model,
        "baseline": run.evaluation.baseline,
        "probe": run.probe.input,
        "prompts": run.evaluation.refusal.prompts,
        "answers": run.evaluation.perplexity_answers,
        **{f"dataset/{one.name}": one.source for one in run.datasets},
    }
    return {role: source for role, source in sources.items() if source is not None}


def _fingerprint(source: Source, workspace: Path) -> str | None:
    path = locate(source, workspace)
    if path is None:
        return None
    if isinstance(source, PackageSource) and path.stat().st_size > HASHED_BYTES:
        # Installing a package again changes the time of its files, not what they hold.
        return _short(f"{source.name} {_version(source.name)} {path.stat().st_size}")
    return _of_path(path)


def _of_path(path: Path) -> str | None:
    if not path.exists():
        return None
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return _short("\n".join(f"{file.name} {_content(file)}" for file in files if file.is_file()))


def _content(file: Path) -> str:
    stat = file.stat()
    if stat.st_size > HASHED_BYTES:
        return f"{stat.st_size} {stat.st_mtime_ns}"
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _package_folder(package: str) -> Path | None:
    """Return the folder of an import package without importing it."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
