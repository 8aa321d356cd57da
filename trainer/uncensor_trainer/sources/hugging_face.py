"""Repositories on a Hugging Face compatible hub, pinned to a commit.

`HF_ENDPOINT` chooses the hub; `HF_TOKEN`, or the file named by `HF_TOKEN_PATH`, lets in to private
and gated repositories. Both are read at each call, because the library reads them at import.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import logging
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    DisabledRepoError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.tqdm import disable_progress_bars

from uncensor_trainer.exits import InvalidInput, SourceUnavailable, StageError
from uncensor_trainer.progress import Json, Progress
from uncensor_trainer.runfile import HubSource
from uncensor_trainer.sources.cache import Origin, RequestRefused
from uncensor_trainer.sources.checks import (
    DATA_SUFFIXES,
    INDEX,
    file_record,
    plain_names,
    refuse_full_disk,
    refuse_remote_code,
    refuse_unsafe_name,
    wanted_weights,
)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REFUSED = {401, 403}
_SECONDS_BETWEEN_LOOKS = 1.0
# Its warnings tell whole URLs, with the secrets of signed ones.
logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


class _Repository:
    """One repository at one commit."""

    def __init__(self, source: HubSource, progress: Progress) -> None:
        disable_progress_bars()
        self.source = source
        self.progress = progress
        self.api = HfApi(endpoint=_endpoint(), token=_token(source.repo))
        self.commit = self._commit()

    def _commit(self) -> str:
        """A full commit needs no question, so that cached content works without a network."""
        source = self.source
        if _COMMIT.fullmatch(source.revision):
            return source.revision
        with _for_people(source):
            found = self.api.repo_info(
                source.repo, revision=source.revision, repo_type=source.repo_type
            ).sha
        if found is None:
            raise SourceUnavailable(f"The hub does not tell the commit of {_shown(source)}.")
        return found

    def files(self) -> dict[str, RepoFile]:
        """Return every file by its path."""
        source = self.source
        with _for_people(source):
            tree = self.api.list_repo_tree(
                source.repo, recursive=True, revision=self.commit, repo_type=source.repo_type
            )
            return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}

    def bring(self, folder: Path, names: list[str], files: dict[str, RepoFile]) -> None:
        """Download files into a folder, resumed, and compare them with what the hub lists."""
        for name in names:
            refuse_unsafe_name(name, _shown(self.source))
        wanted = sum(files[name].size for name in names)
        have = sum(_size(folder / name) for name in names)
        refuse_full_disk(folder, wanted - have, _shown(self.source))
        with _for_people(self.source), _told(self.progress, folder, wanted):
            self.api.snapshot_download(
                self.source.repo,
                revision=self.commit,
                repo_type=self.source.repo_type,
                local_dir=folder,
                allow_patterns=[glob.escape(name) for name in names],
            )
        for name in names:
            _refuse_difference(folder, files[name], self.source)
        self.progress.update(wanted, wanted, unit="bytes")


def model_origin(source: HubSource, progress: Progress) -> Origin:
    """Return a model repository: safetensors, configuration and tokenizer only.

    Raises:
        InvalidInput: it does not exist, is gated, or the revision is unknown.
        SourceUnavailable: the hub does not answer.
    """
    repository = _Repository(source, progress)

    def fill(folder: Path) -> None:
        files = repository.files()
        names = [name for name in files if _is_wanted(name, source.files)]
        # The small files decide whether the large ones may come at all.
        repository.bring(folder, plain_names(names), files)
        refuse_remote_code(folder)
        weights = wanted_weights(files, folder / INDEX, _shown(source))
        progress.note(f"Downloading {len(weights)} weight files of {_shown(source)}.")
        repository.bring(folder, weights, files)
        _remove_bookkeeping(folder)

    return _origin(repository, fill)


def data_origin(source: HubSource, progress: Progress) -> Origin:
    """Return the data files of a repository.

    Raises:
        InvalidInput: it does not exist, is gated, or the revision is unknown.
        SourceUnavailable: the hub does not answer.
    """
    repository = _Repository(source, progress)

    def fill(folder: Path) -> None:
        files = repository.files()
        names = sorted(
            name
            for name in files
            if name.lower().endswith(DATA_SUFFIXES) and _is_wanted(name, source.files)
        )
        if not names:
            raise InvalidInput(
                f"{_shown(source)} has no data file ({', '.join(DATA_SUFFIXES)}) that matches "
                f"{list(source.files) or 'anything'}; it has: {', '.join(sorted(files)[:10])}."
            )
        repository.bring(folder, names, files)
        _remove_bookkeeping(folder)

    return _origin(repository, fill)


def _origin(repository: _Repository, fill: Callable[[Path], None]) -> Origin:
    source = repository.source
    described: dict[str, Json] = {
        "kind": "huggingFace",
        "repo": source.repo,
        "repoType": source.repo_type,
        "revision": source.revision,
        "commit": repository.commit,
        "files": list(source.files),
    }
    # The endpoint stays out: a mirror holds the same commits. So does the branch's name.
    identity = {key: value for key, value in described.items() if key != "revision"}
    return Origin(identity, described, repository.commit, fill)


def _is_wanted(name: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _refuse_difference(folder: Path, listed: RepoFile, source: HubSource) -> None:
    path = folder / listed.path
    if not path.is_file():
        # The library is content with what a folder has when the hub falls silent in between.
        raise SourceUnavailable(f"{listed.path} of {_shown(source)} did not come.")
    found = file_record(path, folder)
    wanted = listed.lfs.sha256 if listed.lfs is not None else found.sha256
    if found.size != listed.size or found.sha256 != wanted:
        path.unlink()
        raise SourceUnavailable(
            f"{listed.path} of {_shown(source)} came with other content than the hub lists; it is "
            "removed and downloaded again by the next attempt."
        )


@contextmanager
def _told(progress: Progress, folder: Path, total: int) -> Iterator[None]:
    """Tell now and then how many bytes lie in the folder; the library's bars are for terminals."""
    is_done = threading.Event()

    def tell() -> None:
        while not is_done.wait(_SECONDS_BETWEEN_LOOKS):
            have = sum(_size(path) for path in folder.rglob("*"))
            progress.update(min(have, total), total, unit="bytes")

    watcher = threading.Thread(target=tell, name="download-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_done.set()
        watcher.join()


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 when there is none (any more)."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _remove_bookkeeping(folder: Path) -> None:
    """Remove what the hub library keeps there for resuming."""
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def _endpoint() -> str | None:
    """Return the hub that HF_ENDPOINT names; None lets the library choose."""
    endpoint = os.environ.get("HF_ENDPOINT", "").strip()
    if not endpoint:
        return None
    try:
        parts = urlsplit(endpoint)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
        # A bad port or host name shows here only.
        _ = parts.port, str(parts.hostname).encode("idna")
    except ValueError:
        is_address = False
    if not is_address:
        raise InvalidInput("HF_ENDPOINT is not an address such as https://huggingface.co.")
    return endpoint


def _token(repo: str) -> str | None:
    """Return the read token; None lets the library look in its usual places.

    On a cluster each repository may have a token of its own, in a file `<owner>--<name>`.
    """
    folder = os.environ.get("UNCENSOR_TOKEN_FOLDER")
    own = Path(folder) / repo.replace("/", "--") if folder else None
    if own is not None and own.exists():
        return _read_token(str(own))
    token = os.environ.get("HF_TOKEN", "").strip()
    path = os.environ.get("HF_TOKEN_PATH")
    if token or not path:
        return token or None
    return _read_token(path)


def _read_token(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(f"The token file {path} cannot be read: {error.strerror}.") from error


def _shown(source: HubSource) -> str:
    kind = "data set" if source.repo_type == "dataset" else "model"
    return f"the {kind} repository {source.repo} (revision {source.revision})"


@contextmanager
def _for_people(source: HubSource) -> Iterator[None]:
    """Turn the library's errors into sentences; others pass."""
    try:
        yield
    except Exception as error:
        known = _explained(error, _shown(source))
        if known is None:
            raise
        raise known from error


_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    # GatedRepoError is a RepositoryNotFoundError, so it comes first.
    (GatedRepoError, "is gated: accept its terms on its page, and give a token of that account"),
    (RepositoryNotFoundError, "does not exist, or is private: check the name, or give a token"),
    (RevisionNotFoundError, "has no such revision: name a branch, tag or commit of it"),
    (RemoteEntryNotFoundError, "lacks a file that it lists"),
    (DisabledRepoError, "is disabled by the hub"),
    (HFValidationError, "has a name that cannot exist: wanted `owner/name`"),
    (OfflineModeIsEnabled, "cannot be fetched while HF_HUB_OFFLINE is set: unset it"),
)


def _explained(error: Exception, shown: str) -> StageError | None:
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            return RequestRefused(f"On the hub, {shown} {sentence}.")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in _REFUSED:
            return RequestRefused(f"The hub refuses access to {shown} ({status}): check the token.")
        return SourceUnavailable(f"The hub answers {status} for {shown}.")
    if isinstance(error, json.JSONDecodeError):
        return SourceUnavailable(
            f"What answers at HF_ENDPOINT for {shown} is not a hub; perhaps a proxy stands between."
        )
    if isinstance(error, LocalEntryNotFoundError | FileMetadataError) or _is_network(error):
        return SourceUnavailable(f"The hub cannot be reached for {shown}: {type(error).__name__}.")
    return None


def _is_network(error: Exception) -> bool:
    """Tell a failed transfer from a disk error: only the latter has a number.

    The library changed from httpx to httpx2; both call the base class TransportError. A body that
    ends early is an OSError without a number.
    """
    if type(error) is OSError:
        return error.errno is None
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)
