"""The model card: what a finished model was made from, for whoever finds the folder alone.

Beside it lies SHA256SUMS, which `sha256sum -c` checks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import RunFile, Source

CARD, SUMS = "README.md", "SHA256SUMS"
_ARMS = {
    "filtered": "the rows that the filter kept",
    "control": "all rows, unfiltered: the arm to compare with, not the one to use",
}


@dataclass(frozen=True, slots=True)
class Made:
    """What the card tells.

    Attributes:
        run: the resolved settings.
        arm: filtered or control.
        sources: what fetch recorded: places, revisions, checksums.
        filter: the filter's report.
        summary: the numbers of the training.
        versions: of the packages that trained.
    """

    run: RunFile
    arm: str
    sources: Mapping[str, Json]
    filter: Mapping[str, Json]
    summary: Mapping[str, Json]
    versions: Mapping[str, str]


def card(made: Made) -> str:
    """Return the card in Markdown, with the front matter that model hubs read."""
    front: dict[str, Json] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["uncensor-operator", made.run.training.method],
    }
    if made.run.model.kind == "huggingFace":
        front["base_model"] = made.run.model.repo
    head = yaml.safe_dump(front, sort_keys=True, allow_unicode=True)
    return f"---\n{head}---\n" + "\n".join(_body(made)) + "\n"


def _body(made: Made) -> Iterator[str]:
    yield from (f"# {made.run.run}", "", f"Trained on {_ARMS[made.arm]}.", "", "## Made from", "")
    yield f"- base model: {_place(made.run.model)}{_revision(made.sources.get('model'))}"
    entries = made.sources.get("datasets")
    for one in made.run.datasets:
        entry = entries.get(one.name) if isinstance(entries, dict) else None
        yield f"- data set {one.name}: {_place(one.source)}{_revision(entry)}"
    yield from ("", "## Filter", "", f"Mode {made.run.filter.mode}. {_counted(made.filter)}", "")
    by_class = made.filter.get("byClass")
    if isinstance(by_class, dict) and by_class:
        yield from _table(("class", "rows", "action"), _classes(made, by_class))
    yield from ("", "## Training", "")
    yield from _table(("", ""), [(name, str(value)) for name, value in made.summary.items()])
    yield from ("", "## Settings", "")
    yield from _table(("setting", "value"), _settings(made.run))
    yield from ("", "## Versions", "")
    yield from _table(("package", "version"), sorted(made.versions.items()))
    yield from ("", f"`sha256sum -c {SUMS}` checks every file of this folder.")


def _place(source: Source) -> str:
    said = source.model_dump(mode="json")
    keys = ("repo", "revision", "url", "path", "name", "version", "file")
    return " ".join(f"`{said[key]}`" for key in keys if said.get(key))


def _revision(entry: Json) -> str:
    revision = entry.get("revision") if isinstance(entry, dict) else None
    return f" at {revision}" if revision else ""


def _counted(report: Mapping[str, Json]) -> str:
    if not report:
        return "There is no report."
    wanted = ("rows", "kept", "dropped", "stripped", "quarantined")
    return ", ".join(f"{name} {report[name]}" for name in wanted if name in report) + "."


def _classes(made: Made, by_class: Mapping[str, Json]) -> list[tuple[str, ...]]:
    actions = {str(name): action for name, action in made.run.filter.actions.items()}
    return [(name, str(rows), actions.get(name, "")) for name, rows in by_class.items()]


def _settings(run: RunFile) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [("globalBatchSize", f"{run.global_batch_size} rows")]
    for name, value in run.training.model_dump(mode="json").items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        found += [(f"{name}.{key}".rstrip("."), str(part)) for key, part in parts]
    return found


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"


def write_card(folder: Path, made: Made) -> None:
    """Write the card, then the checksums of every file there is."""
    (folder / CARD).write_text(card(made), encoding="utf-8")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
