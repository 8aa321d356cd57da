"""The shared cache of fetched content: complete folders, named by what they were made from.

A folder is filled beside its place and renamed, so that a reader finds it complete or not at all.
Two runs that want the same content take turns by a lock; where the file system has no locks, each
fills a folder of its own and the first rename wins.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json, Progress
from uncensor_trainer.sources.checks import Fetched, FileRecord, file_record
from uncensor_trainer.workspace import read_json, sync_folder, sync_tree, write_json

RECORD = "source.json"


class RequestRefused(InvalidInput):
    """A server wants other credentials or another address; what came before stays."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Content that can be brought, and the name under which it is kept."""

    identity: dict[str, Json]
    """Everything that decides the content; its digest names the folder."""
    source: dict[str, Json]
    """What people read in source.json; without secrets."""
    revision: str | None
    """Commit, version or digest; None when it is not known before the download."""
    fill: Callable[[Path], None]
    """Brings the files into a folder; goes on where an earlier call was interrupted."""

    @property
    def digest(self) -> str:
        """Name of the folder."""
        text = json.dumps(self.identity, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def cached(
    shelf: Path, origin: Origin, files_of: Callable[[Path], list[Path]], progress: Progress
) -> Fetched:
    """Return the content's folder on the shelf, filling it first unless it is complete.

    Args:
        shelf: `models` or `datasets` of the workspace.
        origin: what to bring.
        files_of: checks a filled folder and returns the files that matter.
        progress: where to tell what happens.

    Raises:
        RequestRefused: the user can change the request; what came is kept for the next attempt.
        InvalidInput: the content is not acceptable; nothing of it is kept.
        SourceUnavailable: the download failed; what came is kept for the next attempt.
    """
    folder = shelf / origin.digest
    found = _complete(folder, origin)
    if found is None:
        shelf.mkdir(parents=True, exist_ok=True)
        with _alone(shelf, origin.digest, progress) as partial:
            found = _complete(folder, origin) or _filled(folder, partial, origin, files_of)
    return found


def _filled(
    folder: Path, partial: Path, origin: Origin, files_of: Callable[[Path], list[Path]]
) -> Fetched:
    partial.mkdir(exist_ok=True)
    (partial / RECORD).unlink(missing_ok=True)
    try:
        origin.fill(partial)
        _refuse_own_name(partial)
        files = [file_record(path, partial) for path in files_of(partial)]
    except RequestRefused:
        raise
    except InvalidInput:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    record: dict[str, Json] = {
        "kind": origin.source["kind"],
        "source": origin.source,
        "revision": origin.revision,
        "files": [file.as_json() for file in files],
    }
    write_json(partial / RECORD, record)
    _let_others_read(partial)
    sync_tree(partial)
    _put_in_place(partial, folder, origin)
    return Fetched(folder, tuple(files), origin.source, origin.revision)


def _refuse_own_name(partial: Path) -> None:
    if (partial / RECORD).exists():
        raise InvalidInput(
            f"A file named {RECORD} cannot be stored: the cache keeps its own record under that "
            "name. Rename it (`filename` of http), or leave it out (`files` of huggingFace)."
        )


def _let_others_read(partial: Path) -> None:
    """Give files the folder's read bits: safetensors writes 0600, and other users share this."""
    readable = partial.stat().st_mode & 0o444
    for path in partial.rglob("*"):
        if path.is_file():
            path.chmod(path.stat().st_mode | readable)


def _put_in_place(partial: Path, folder: Path, origin: Origin) -> None:
    if folder.exists() and _complete(folder, origin) is None:
        shutil.rmtree(folder)
    try:
        partial.rename(folder)
    except OSError:
        # Without locks another run may have been first; its folder is as good as ours.
        if _complete(folder, origin) is None:
            raise
        shutil.rmtree(partial)
    sync_folder(folder.parent)


def _complete(folder: Path, origin: Origin) -> Fetched | None:
    record = read_json(folder / RECORD)
    if record is None:
        return None
    files = _recorded_files(record)
    if not files or not all(_has_size(folder / file.name, file.size) for file in files):
        return None
    revision = record.get("revision")
    return Fetched(folder, files, origin.source, None if revision is None else str(revision))


def _recorded_files(record: dict[str, Json]) -> tuple[FileRecord, ...]:
    """Return the files that a record lists; none when another version wrote it."""
    listed = record.get("files")
    try:
        return tuple(FileRecord(**entry) for entry in listed)  # type: ignore[arg-type, union-attr]
    except TypeError:
        return ()


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


@contextmanager
def _alone(shelf: Path, digest: str, progress: Progress) -> Iterator[Path]:
    """Hold the lock of one content and yield the folder to fill."""
    with (shelf / f".{digest}.lock").open("a") as lock:
        try:
            _lock(lock.fileno(), progress)
        except OSError:
            # Some network file systems have no locks; a name of our own is safe there, only
            # resuming across restarts is lost.
            yield shelf / f".{digest}.partial-{socket.gethostname()}-{os.getpid()}"
        else:
            yield shelf / f".{digest}.partial"


def _lock(descriptor: int, progress: Progress) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        progress.note("Another run fetches the same content; waiting for it.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
