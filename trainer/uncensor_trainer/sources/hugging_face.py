"""Repositories on a Hugging Face compatible hub, pinned to a commit.

`HF_ENDPOINT` chooses the hub; `HF_TOKEN`, or the file named by `HF_TOKEN_PATH`, lets in to private
and gated repositories. Both are read at each call, because the library reads them at import.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
from uncensor_trainer.sources.cache import Origin
from uncensor_trainer.sources.checks import (
    DATA_SUFFIXES,
    INDEX,
    file_record,
    plain_names,
    refuse_remote_code,
    refuse_unsafe_name,
    wanted_weights,
)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REFUSED = {401, 403}


class _Repository:
    """One repository at one commit."""

    def __init__(self, source: HubSource, progress: Progress) -> None:
        disable_progress_bars()
        self.source = source
        self.progress = progress
        self.api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=_token())
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
        with _for_people(self.source):
            self.api.snapshot_download(
                self.source.repo,
                revision=self.commit,
                repo_type=self.source.repo_type,
                local_dir=folder,
                allow_patterns=[glob.escape(name) for name in names],
            )
        for number, name in enumerate(names, start=1):
            _refuse_difference(folder, files[name], self.source)
            self.progress.update(number, len(names), unit="files", file=name)


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
    found = file_record(path, folder)
    wanted = listed.lfs.sha256 if listed.lfs is not None else found.sha256
    if found.size != listed.size or found.sha256 != wanted:
        path.unlink()
        raise SourceUnavailable(
            f"{listed.path} of {_shown(source)} came with other content than the hub lists; it is "
            "removed and downloaded again by the next attempt."
        )


def _remove_bookkeeping(folder: Path) -> None:
    """Remove what the hub library keeps there for resuming."""
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def _token() -> str | None:
    """Return the read token; None lets the library look in its usual places."""
    token = os.environ.get("HF_TOKEN", "").strip()
    path = os.environ.get("HF_TOKEN_PATH")
    if token or not path:
        return token or None
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
            return InvalidInput(f"On the hub, {shown} {sentence}.")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in _REFUSED:
            return InvalidInput(f"The hub refuses access to {shown} ({status}): check the token.")
        return SourceUnavailable(f"The hub answers {status} for {shown}.")
    if isinstance(error, LocalEntryNotFoundError | FileMetadataError) or _is_network(error):
        return SourceUnavailable(f"The hub cannot be reached for {shown}: {type(error).__name__}.")
    return None


def _is_network(error: Exception) -> bool:
    """The library changed from httpx to httpx2; both call the base class TransportError."""
    return any(kind.__name__ == "TransportError" for kind in type(error).__mro__)
