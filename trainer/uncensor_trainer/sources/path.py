"""Files and folders on this machine or on the workspace: used in place, never copied."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import PathSource
from uncensor_trainer.sources.checks import (
    Fetched,
    data_files,
    file_record,
    model_files,
    refuse_no_data_file,
)

_USERS_FAULT = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOENT}


def model_in_place(source: PathSource, root: Path) -> Fetched:
    """Return a model folder, checked and with the digest of every file.

    Raises:
        InvalidInput: it is missing, unreadable or not an acceptable model.
    """
    with _readable():
        folder = _existing(source, root)
        if not folder.is_dir():
            raise InvalidInput(
                f"The model path {folder} is a file; wanted the folder with config.json and "
                "model.safetensors."
            )
        return _recorded(source, folder, model_files(folder))


def data_in_place(source: PathSource, root: Path) -> Fetched:
    """Return a data file, or the data files of a folder sorted by name.

    Raises:
        InvalidInput: it is missing, unreadable or has no data files.
    """
    with _readable():
        path = _existing(source, root)
        if path.is_dir():
            return _recorded(source, path, data_files(path))
        refuse_no_data_file(path.name, str(path))
        return _recorded(source, path.parent, [path])


def _existing(source: PathSource, root: Path) -> Path:
    try:
        path = (root / Path(source.path).expanduser()).absolute()
    except RuntimeError as error:
        raise InvalidInput(f"The path {source.path!r} names a user who does not exist.") from error
    if not path.exists():
        hint = "" if Path(source.path).is_absolute() else " (relative to the workspace)"
        raise InvalidInput(
            f"There is no file or folder {path}; the source says {source.path!r}{hint}."
        )
    return path


def _recorded(source: PathSource, folder: Path, files: list[Path]) -> Fetched:
    described: dict[str, Json] = {"kind": "path", "path": source.path}
    records = tuple(file_record(path, folder) for path in files)
    return Fetched(folder, records, described, None)


@contextmanager
def _readable() -> Iterator[None]:
    """Turn what the system says about the user's own files into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in _USERS_FAULT:
            raise
        raise InvalidInput(f"{error.filename} cannot be read: {error.strerror}.") from error
