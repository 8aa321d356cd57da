"""What may enter the workspace: names, data files, and models without pickles or remote code.

Every source asks here before and after it brings files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from uncensor_trainer.exits import InvalidInput, WorkspaceFailure
from uncensor_trainer.progress import Json

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
DATA_SUFFIXES = (".json", ".jsonl", ".ndjson", ".parquet")
# What a tokenizer or a configuration consists of; weights are chosen by name, not by suffix.
PLAIN_SUFFIXES = (".json", ".txt", ".jinja", ".model")
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_MAX_HEADER_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file as it was fetched, its name relative to the folder, with slashes."""

    name: str
    size: int
    sha256: str

    def as_json(self) -> dict[str, Json]:
        """Return the form that stands in source.json."""
        return {"name": self.name, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Fetched:
    """Files that lie where the following stages can read them."""

    folder: Path
    files: tuple[FileRecord, ...]
    source: dict[str, Json]
    revision: str | None
    """Commit, version or digest; None when the source has nothing of the kind."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def file_record(path: Path, folder: Path) -> FileRecord:
    """Return name, size and digest of a file, reading it once."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(path.relative_to(folder).as_posix(), path.stat().st_size, digest)


def refuse_unsafe_name(name: str, where: str) -> None:
    """Let relative names inside the folder pass.

    Raises:
        InvalidInput: the name is absolute, hidden, climbs out with `..` or has a backslash.
    """
    parts = PurePosixPath(name).parts
    climbs = name.startswith("/") or "\\" in name or "\0" in name
    if climbs or not parts or any(part.startswith(".") for part in parts):
        raise InvalidInput(f"{where} names a file {name!r}, which may not be stored: unsafe name.")


def refuse_full_disk(folder: Path, num_bytes: int, what: str) -> None:
    """Let content pass that the disk below a folder has room for.

    Raises:
        WorkspaceFailure: it would not fit; nothing of it was written yet.
    """
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise WorkspaceFailure(
            f"{what} needs {num_bytes / 1e9:.1f} GB, and the disk of {folder} has "
            f"{free / 1e9:.1f} GB free. Free some space or choose another workspace."
        )


def refuse_no_data_file(name: str, where: str) -> None:
    """Let names of data files pass.

    Raises:
        InvalidInput: the suffix is not one that the filter reads.
    """
    if not name.lower().endswith(DATA_SUFFIXES):
        wanted = ", ".join(DATA_SUFFIXES)
        raise InvalidInput(f"{where}: {name!r} is not a data file; wanted one of {wanted}.")


def data_files(folder: Path) -> list[Path]:
    """Return the data files directly in a folder, sorted by name.

    Raises:
        InvalidInput: there is none.
    """
    found = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in DATA_SUFFIXES and path.name[0] != "."
    )
    if not found:
        wanted = ", ".join(DATA_SUFFIXES)
        raise InvalidInput(f"The folder {folder} has no data files ({wanted}).")
    return found


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model that a loader reads, after all checks.

    Raises:
        InvalidInput: weights are missing, torn, pickled or unlisted, or code comes with them.
    """
    refuse_remote_code(folder)
    names = [path.name for path in folder.iterdir() if path.is_file()]
    shards = wanted_weights(names, folder / INDEX, str(folder))
    unlisted = sorted({name for name in names if name.endswith(".safetensors")} - set(shards))
    if unlisted:
        raise InvalidInput(
            f"{folder} has weights that belong to nothing: {', '.join(unlisted)} not in "
            f"{INDEX if INDEX in names else SINGLE}. Move them away; they may be of another model."
        )
    for shard in shards:
        refuse_torn_weights(folder / shard)
    return sorted(folder / name for name in [*plain_names(names), *shards])


def plain_names(names: Iterable[str]) -> list[str]:
    """Return the configuration and tokenizer files among names at the top of a folder."""
    return sorted(
        name
        for name in names
        if "/" not in name and not name.startswith(".") and name.endswith(PLAIN_SUFFIXES)
    )


def wanted_weights(names: Iterable[str], index: Path, where: str) -> list[str]:
    """Return the weight files to read, given all names and the index, if there is one.

    Raises:
        InvalidInput: no safetensors weights, or the index lists what is not there.
    """
    known = set(names)
    if not index.is_file():
        if SINGLE in known:
            return [SINGLE]
        raise InvalidInput(f"{where} has no {SINGLE} and no {INDEX}.{_remedy(known)}")
    shards = listed_shards(index)
    missing = [name for name in shards if name not in known]
    if missing:
        raise InvalidInput(
            f"{where} lacks {len(missing)} of the {len(shards)} weight files that {INDEX} lists: "
            f"{', '.join(missing[:5])}. The copy is not complete; fetch it again."
        )
    return shards


def listed_shards(index: Path) -> list[str]:
    """Return the weight files that an index lists.

    Raises:
        InvalidInput: it is not an index, or a name would leave the folder.
    """
    weights = _json_object(index).get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise InvalidInput(f"{index} has no weight_map; it is not an index of weights.")
    shards = sorted({str(name) for name in weights.values()})
    for name in shards:
        refuse_unsafe_name(name, str(index))
        if "/" in name or not name.endswith(".safetensors"):
            raise InvalidInput(
                f"{index} lists {name!r}; wanted a .safetensors file in the same folder."
            )
    return shards


def refuse_remote_code(folder: Path) -> None:
    """Let models pass that the installed transformers can load by itself.

    Raises:
        InvalidInput: config.json is missing or asks to run code from the repository.
    """
    config = folder / "config.json"
    if not config.is_file():
        raise InvalidInput(f"{folder} has no config.json; it is not a model folder.")
    for path in (config, folder / "tokenizer_config.json"):
        if path.is_file() and _json_object(path).get("auto_map"):
            raise InvalidInput(
                f"{path.name} of {folder} asks to run Python code that comes with the model "
                "(auto_map). Code from a model is never run here; choose a model that transformers "
                "supports itself, or remove auto_map if it does."
            )


def refuse_torn_weights(path: Path) -> None:
    """Let a safetensors file pass whose length is what its header says.

    Raises:
        InvalidInput: it is cut off, or a pointer that git-lfs left in its place.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= min(size, _MAX_HEADER_BYTES) else b""
    try:
        tensors = json.loads(header)
        end = max(
            (int(value["data_offsets"][1]) for key, value in tensors.items() if key[:2] != "__"),
            default=0,
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        end = -1
    if end < 0 or 8 + length + end != size:
        raise InvalidInput(
            f"{path} is not a whole safetensors file ({size} bytes). It is cut off, or a git-lfs "
            "pointer (run `git lfs pull`); fetch it again."
        )


def _remedy(names: set[str]) -> str:
    if any(name.endswith(PICKLE_SUFFIXES) for name in names):
        return (
            " It has pickled weights, which can run code when they are loaded and are refused. "
            "Choose a revision with safetensors, or convert a copy that you trust with "
            "save_pretrained of transformers and name its folder with `path`."
        )
    if any(name.endswith(".gguf") for name in names):
        return " GGUF files are read from Python packages only; choose the original model."
    return ""


def _json_object(path: Path) -> dict[str, Json]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidInput(f"{path} is not a JSON object.")
    return value
