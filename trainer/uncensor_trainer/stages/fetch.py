"""Fetch: bring models and data onto the workspace once, pinned, checked and shared by all runs.

Writes `sources.json`: where everything lies, from where and at which revision it came.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import HttpSource, HubSource, PackageSource, PathSource, Source
from uncensor_trainer.sources import package, path, web
from uncensor_trainer.sources.cache import Origin, cached
from uncensor_trainer.sources.checks import Fetched, model_files, refuse_no_data_file
from uncensor_trainer.sources.shape import model_shape
from uncensor_trainer.workspace import write_json

if TYPE_CHECKING:
    from uncensor_trainer.run import StageContext

SOURCES = "sources.json"
Remote = HubSource | HttpSource | PackageSource


def run(context: StageContext, out: Path) -> dict[str, Json]:
    """Fetch every source of the run and return counts and bytes.

    Raises:
        InvalidInput: a source is wrong, refused or not acceptable.
        SourceUnavailable: a server does not answer; the next attempt goes on where this ended.
    """
    plan = context.run
    entries: dict[str, Json] = {}
    shapes: dict[str, dict[str, int] | None] = {}
    total = 0
    for key, model in (("model", plan.model), ("baseline", plan.evaluation.baseline)):
        if model is not None:
            fetched = _model(context, key, model)
            entries[key] = _model_entry(context, fetched)
            shapes[key] = model_shape(fetched.folder)
            total += fetched.size
    data: dict[str, Json] = {}
    for dataset in plan.datasets:
        fetched = _data(context, dataset.name, dataset.source)
        data[dataset.name] = _data_entry(context, fetched)
        total += fetched.size
    entries["datasets"] = data
    for key, source in _side_inputs(context).items():
        fetched = _data(context, key, source)
        entries[key] = _data_entry(context, fetched)
        total += fetched.size
    write_json(out / SOURCES, entries)
    found = shapes.get("model")
    shape: Json = dict(found.items()) if found else None
    return {
        "sources": len(entries) - 1 + len(data),
        "datasets": len(data),
        "bytes": total,
        "model": shape,
    }


def _side_inputs(context: StageContext) -> dict[str, Source]:
    plan = context.run
    named = {
        "probe": plan.probe.input,
        "prompts": plan.evaluation.refusal.prompts,
        "answers": plan.evaluation.perplexity_answers,
    }
    return {key: source for key, source in named.items() if source is not None}


def _model(context: StageContext, key: str, source: Source) -> Fetched:
    context.progress.event("fetching", name=key, origin=source.kind)
    root = context.workspace.root
    if isinstance(source, PathSource):
        return path.model_in_place(source, root)
    return cached(root / "models", _model_origin(context, source), model_files, context.progress)


def _model_origin(context: StageContext, source: Remote) -> Origin:
    if isinstance(source, HubSource):
        # The hub library takes a second to import; runs without a hub do not wait for it.
        from uncensor_trainer.sources import hugging_face  # noqa: PLC0415

        return hugging_face.model_origin(source, context.progress)
    if isinstance(source, HttpSource):
        raise InvalidInput(
            f"A model has several files, and {web.without_secrets(source.url)} is one. Name a "
            "repository (huggingFace) or a folder (path)."
        )
    return package.model_origin(source, context.progress)


def _data(context: StageContext, key: str, source: Source) -> Fetched:
    context.progress.event("fetching", name=key, origin=source.kind)
    root = context.workspace.root
    if isinstance(source, PathSource):
        return path.data_in_place(source, root)
    return cached(root / "datasets", _data_origin(context, source), _all_files, context.progress)


def _data_origin(context: StageContext, source: Remote) -> Origin:
    if isinstance(source, HubSource):
        from uncensor_trainer.sources import hugging_face  # noqa: PLC0415 - as above

        return hugging_face.data_origin(source, context.progress)
    if isinstance(source, HttpSource):
        return web.data_origin(source, context.progress)
    return package.data_origin(source)


def _all_files(folder: Path) -> list[Path]:
    """Return the data files at any depth; a hub's repository may have folders."""
    found = sorted(file for file in folder.rglob("*") if file.is_file())
    for file in found:
        refuse_no_data_file(file.name, "A data source")
    return found


def _model_entry(context: StageContext, fetched: Fetched) -> dict[str, Json]:
    return {
        "folder": _shown(context, fetched, fetched.folder),
        "source": fetched.source,
        "revision": fetched.revision,
        "content": [file.as_json() for file in fetched.files],
    }


def _data_entry(context: StageContext, fetched: Fetched) -> dict[str, Json]:
    files: list[Json] = [
        _shown(context, fetched, fetched.folder / file.name) for file in fetched.files
    ]
    return {
        "files": files,
        "source": fetched.source,
        "revision": fetched.revision,
        "content": [file.as_json() for file in fetched.files],
    }


def _shown(context: StageContext, fetched: Fetched, where: Path) -> str:
    """Cached content moves with the workspace; what is used in place does not."""
    if fetched.source["kind"] == "path":
        return str(where)
    return where.relative_to(context.workspace.root).as_posix()
