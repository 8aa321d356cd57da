"""Checkpoints that are whole or not there: how they are committed, found, verified and removed.

    checkpoints/.tmp-<step>/   being written; removed at the next start
    checkpoints/step-<step>/   manifest.json lists every file with size and sha256;
                               COMMITTED holds the sha256 of the manifest and is written last
    checkpoints/quarantine/    folders that did not verify; moved here, never deleted

A file that merely loads proves nothing: flipped bytes in an optimizer shard load without a word
and ruin the run. So a checkpoint is used only when every byte is what was written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uncensor_trainer.exits import WorkspaceFailure
from uncensor_trainer.progress import Json
from uncensor_trainer.workspace import (
    Workspace,
    read_json,
    sync_folder,
    sync_tree,
    write_json,
)

MANIFEST = "manifest.json"
COMMITTED = "COMMITTED"
QUARANTINE = "quarantine"
HASHING_THREADS = 8  # hashing leaves Python's lock, so files of many processes go side by side
Facts = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint.

    Attributes:
        folder: what the engine wrote.
        step: optimizer steps done.
        facts: its manifest without the list of files.
    """

    folder: Path
    step: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one arm; only the main process calls the methods that change them.

    Attributes:
        folder: where they lie.
        digest: digest of the stage; state of another digest belongs to another training.
        keep_latest: how many stay after a commit.
        may_write: raises when this attempt must not commit any more.
    """

    folder: Path
    digest: str
    keep_latest: int
    may_write: Callable[[], None] = lambda: None

    def partial(self, step: int) -> Path:
        """Return the folder that all processes write a step's state into."""
        return self.folder / f".tmp-{step}"

    def begin(self, step: int) -> None:
        """Make the empty folder to write into."""
        shutil.rmtree(self.partial(step), ignore_errors=True)
        self.partial(step).mkdir(parents=True)

    def commit(self, step: int, facts: Facts, receipts: Sequence[dict[str, Json]] = ()) -> Path:
        """Make the written state of a step the newest checkpoint, then remove old ones.

        Args:
            step: optimizer steps done.
            facts: what the manifest says about the run.
            receipts: lines of the manifest for files whose writers flushed them and took the
                digest on the way; every other file is read and hashed here.

        Raises:
            WorkspaceFailure: a file is not as its writer left it, or another attempt writes now.
        """
        partial = self.partial(step)
        files = _listed(partial, {str(receipt["path"]): receipt for receipt in receipts})
        sync_tree(partial)
        manifest = {"step": step, "digest": self.digest, **facts, "files": files}
        write_json(partial / MANIFEST, manifest)
        sync_folder(partial)
        self.may_write()
        final = self.folder / f"step-{step}"
        if final.exists():
            self._quarantine(final)
        partial.rename(final)
        sync_folder(self.folder)
        _write_marker(final)
        self._rotate()
        return final

    def clean(self) -> None:
        """Remove what a killed process left half-written or half-removed."""
        for stale in self.folder.glob(".tmp-*"):
            shutil.rmtree(stale)

    def archive_foreign(self, workspace: Workspace) -> bool:
        """Move checkpoints of other settings to the archive; tell whether there were any."""
        foreign = [
            folder
            for _, folder in self._numbered()
            if (manifest := read_json(folder / MANIFEST)) is not None
            and manifest.get("digest") != self.digest
        ]
        for folder in foreign:
            workspace.archive(folder)
        return bool(foreign)

    def newest_verified(self, before: int | None = None) -> tuple[Checkpoint | None, list[str]]:
        """Return the newest checkpoint whose every byte is right, and notes for people.

        Newer ones that do not verify go to the quarantine; the notes say why. With `before`,
        only checkpoints of earlier steps are looked at.
        """
        notes: list[str] = []
        for step, folder in reversed(self._numbered()):
            if before is not None and step >= before:
                continue
            fault = fault_of(folder)
            if fault is None:
                facts = read_json(folder / MANIFEST) or {}
                facts.pop("files", None)
                return Checkpoint(folder, step, facts), notes
            moved = self._quarantine(folder)
            notes.append(f"Checkpoint {folder.name} is not used: {fault}. It is kept in {moved}.")
        return None, notes

    def bytes_used(self) -> int:
        """Return the bytes of the committed checkpoints."""
        return sum(_size(folder) for _, folder in self._numbered())

    def _rotate(self) -> None:
        """Remove the oldest beyond `keep_latest`, after the newest is known to be complete."""
        numbered = self._numbered()
        if not _looks_complete(numbered[-1][1]):
            return
        for step, folder in numbered[: -max(1, self.keep_latest)]:
            # Renamed first: a kill half-way leaves no checkpoint with missing files behind.
            doomed = self.folder / f".tmp-removed-{step}"
            folder.rename(doomed)
            shutil.rmtree(doomed)

    def _quarantine(self, folder: Path) -> Path:
        place = self.folder / QUARANTINE
        place.mkdir(exist_ok=True)
        number = 1
        while (target := place / f"{folder.name}.{number}").exists():
            number += 1
        folder.rename(target)
        sync_folder(place)
        return target

    def _numbered(self) -> list[tuple[int, Path]]:
        """Return (step, folder) of everything that calls itself a checkpoint, oldest first."""
        found = []
        for folder in self.folder.glob("step-*"):
            number = folder.name.removeprefix("step-")
            if folder.is_dir() and number.isdecimal():
                found.append((int(number), folder))
        return sorted(found)


def fault_of(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint, or None when every byte is right."""
    manifest = read_json(folder / MANIFEST)
    if not _looks_complete(folder) or manifest is None:
        return "it was never committed, or its manifest is damaged"
    files = manifest["files"]
    assert isinstance(files, list)  # noqa: S101 - the marker vouches for the manifest
    # Sizes first: they are known at once. Then digests, several files at a time.
    faults = [_fault_of_size(folder, entry) for entry in files]
    if not any(faults):
        with ThreadPoolExecutor(HASHING_THREADS) as pool:
            faults = list(pool.map(lambda entry: _fault_of_bytes(folder, entry), files))
    return next((fault for fault in faults if fault), None)


def _fault_of_size(folder: Path, entry: Any) -> str | None:
    path, size = folder / entry["path"], entry["bytes"]
    if not path.is_file():
        return f"{entry['path']} is missing"
    if path.stat().st_size != size:
        return f"{entry['path']} has {path.stat().st_size} bytes, wanted {size}"
    return None


def _fault_of_bytes(folder: Path, entry: Any) -> str | None:
    try:
        right = _sha256(folder / entry["path"]) == entry["sha256"]
    except OSError as error:
        return f"{entry['path']} cannot be read: {error.strerror}"
    return None if right else f"{entry['path']} does not have the bytes that were written"


def _looks_complete(folder: Path) -> bool:
    """Tell whether the marker is there and vouches for the manifest."""
    try:
        marker = (folder / COMMITTED).read_text(encoding="utf-8", errors="replace").strip()
        return marker == _sha256(folder / MANIFEST)
    except FileNotFoundError:
        return False


def _write_marker(folder: Path) -> None:
    with (folder / COMMITTED).open("w", encoding="utf-8") as file:
        file.write(_sha256(folder / MANIFEST) + "\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)


def _listed(folder: Path, receipts: Mapping[str, dict[str, Json]]) -> list[Json]:
    """Return the manifest's lines, in order of the paths."""
    found = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    for name, receipt in receipts.items():
        size = found[name].stat().st_size if name in found else None
        if size != receipt["bytes"]:
            raise WorkspaceFailure(
                f"{folder / name} has {size} bytes just after {receipt['bytes']} were written. "
                "The workspace loses data; nothing was committed, and the last checkpoint stays."
            )
    return [receipts.get(name) or _entry(name, found[name]) for name in sorted(found)]


def _entry(name: str, path: Path) -> dict[str, Json]:
    return {"path": name, "bytes": path.stat().st_size, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
