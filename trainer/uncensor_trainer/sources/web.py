"""One file by HTTP(S): streamed, resumed by byte ranges, checked, and visible only when whole."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from uncensor_trainer.exits import InvalidInput, SourceUnavailable
from uncensor_trainer.progress import Json, Progress
from uncensor_trainer.runfile import HttpSource
from uncensor_trainer.sources.cache import Origin, RequestRefused
from uncensor_trainer.sources.checks import (
    file_record,
    refuse_full_disk,
    refuse_no_data_file,
    refuse_unsafe_name,
)

FAILURES_IN_A_ROW = 6
LONGEST_PAUSE_SECONDS = 60.0
SILENCE_SECONDS = 60.0
_CONNECT_SECONDS = 20.0
_WORTH_A_RETRY = {408, 425, 429}
# It logs whole URLs at INFO, with the secrets of signed ones.
logging.getLogger("httpx").setLevel(logging.WARNING)


class _TryAgainError(Exception):
    """One attempt failed in a way that time may heal."""

    def __init__(self, reason: str, after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


def data_origin(source: HttpSource, progress: Progress) -> Origin:
    """Return a data file behind a URL.

    With a known digest the URL does not matter: a renewed signature finds the same content.

    Raises:
        InvalidInput: the URL or the name is not usable.
    """
    shown = without_secrets(source.url)
    name = source.filename or unquote(PurePosixPath(_split(source.url).path).name)
    if not name:
        raise InvalidInput(f"{shown} names no file; set `filename`.")
    refuse_unsafe_name(name, shown)
    if "/" in name:
        raise InvalidInput(f"The `filename` {name!r} of {shown} has a folder; wanted a plain name.")
    refuse_no_data_file(name, f"{shown} (set `filename` if the URL does not tell)")
    sha256 = source.sha256.lower() if source.sha256 else None
    described: dict[str, Json] = {
        "kind": "http",
        "url": shown,
        "sha256": sha256,
        "filename": name,
    }
    what: Json = sha256 or source.url
    identity: dict[str, Json] = {"kind": "http", "filename": name, "content": what}

    def fill(folder: Path) -> None:
        download(source.url, folder / name, sha256=sha256, progress=progress)

    return Origin(identity, described, sha256, fill)


def download(
    url: str,
    target: Path,
    *,
    progress: Progress,
    sha256: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
    silence_seconds: float = SILENCE_SECONDS,
) -> None:
    """Bring one file, going on where an earlier call was interrupted.

    Args:
        url: where the file is.
        target: the file to write; it appears when it is whole and accepted.
        progress: where to tell bytes.
        sha256: wanted digest in hex; None accepts what comes.
        sleep: how to pause between attempts.
        silence_seconds: a connection without a byte for so long counts as cut.

    Raises:
        RequestRefused: the server refuses (what came before is kept).
        InvalidInput: the content is not the one wanted (nothing is kept).
        SourceUnavailable: several attempts in a row brought nothing (what came is kept).
    """
    part = _part_of(target)
    if target.exists():
        _drop(part)
        return
    timeout = httpx.Timeout(silence_seconds, connect=_CONNECT_SECONDS)
    with httpx.Client(follow_redirects=True, timeout=timeout) as client:
        is_resumed = _resumable(part)[0] > 0
        is_end_told = _received(client, url, part, progress, sleep)
        if is_resumed and not _is_wanted(part, sha256):
            # A power cut can leave holes in what an earlier process wrote.
            _drop(part)
            is_end_told = _received(client, url, part, progress, sleep)
    _refuse_difference(url, part, sha256, is_end_told=is_end_told)
    if sha256 is None and not is_end_told:
        progress.note(
            f"{without_secrets(url)} came without its length; set sha256 to be sure it is whole."
        )
    # In this order, so that a kill in between leaves no note beside the finished file.
    _note_of(part).unlink(missing_ok=True)
    part.rename(target)


def _received(
    client: httpx.Client,
    url: str,
    part: Path,
    progress: Progress,
    sleep: Callable[[float], None],
) -> bool:
    """Try until the body came to its end; tell whether the server said where that is."""
    farthest = failures = 0
    while True:
        try:
            return _attempt(client, url, part, progress)
        except _TryAgainError as error:
            reached = _size(part)
            failures = 1 if reached > farthest else failures + 1
            farthest = max(farthest, reached)
            if failures >= FAILURES_IN_A_ROW:
                raise SourceUnavailable(
                    f"{without_secrets(url)} could not be downloaded after {failures} attempts "
                    f"in a row: {error}. What came is kept; the next attempt goes on there."
                ) from error
            sleep(_pause(failures, error.after_seconds))


def without_secrets(url: str) -> str:
    """Return the URL without user, password and query, which may hold keys."""
    parts = _split(url)
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    query = "?..." if parts.query else ""
    return f"{parts.scheme}://{host}{port}{parts.path}{query}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a bad one shows when it is read
    except ValueError as error:
        raise InvalidInput(
            "A source has a URL that cannot be read. Check its brackets and port."
        ) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidInput(f"A source has a URL of scheme {parts.scheme!r}; wanted http or https.")
    return parts


def _attempt(client: httpx.Client, url: str, part: Path, progress: Progress) -> bool:
    have, validator = _resumable(part)
    # Compressed transfer would hide the real size and offsets.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        with client.stream("GET", url, headers=headers) as response:
            _refuse(response, url, part)
            start = _start(response, have, validator, part)
            return _receive(response, part, start, progress)
    except (
        httpx.InvalidURL,
        httpx.UnsupportedProtocol,
        httpx.TooManyRedirects,
        UnicodeError,  # of a host name that cannot be one
    ) as error:
        raise RequestRefused(
            f"{without_secrets(url)} is not a usable URL: {type(error).__name__}. Check the "
            "address, and where it redirects to."
        ) from error
    except httpx.TransportError as error:
        raise _TryAgainError(f"{type(error).__name__}: {error}".rstrip(": ")) from error


def _refuse(response: httpx.Response, url: str, part: Path) -> None:
    """Turn a status that is not success into the error for whoever can change it."""
    status, shown = response.status_code, without_secrets(url)
    if status in {200, 206}:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise InvalidInput(f"{shown} is sent compressed only; choose a plain file.")
        return
    if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        _drop(part)
        raise _TryAgainError("the file became shorter than what was downloaded")
    if status in _WORTH_A_RETRY or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise _TryAgainError(f"the server answers {status}", _retry_after(response))
    if status in {401, 403}:
        raise RequestRefused(
            f"{shown} refuses access ({status}). Check its credentials or signature."
        )
    raise RequestRefused(
        f"{shown} cannot be downloaded: the server answers {status}. Check the URL."
    )


def _start(response: httpx.Response, have: int, validator: str, part: Path) -> int:
    """Return the offset at which the body begins, and remember what it is a part of."""
    found = _validator(response)
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        place = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if place is None or int(place[1]) != have or found not in {"", validator}:
            _drop(part)
            raise _TryAgainError("the server sent a part of something else than was asked for")
        return have
    # Never a note about bytes that an earlier version of the file left.
    _drop(part)
    _note_of(part).write_text(json.dumps({"validator": found}), encoding="utf-8")
    return 0


def _validator(response: httpx.Response) -> str:
    """Return what names this version of the file; RFC 9110 wants strong ones with If-Range."""
    etag = str(response.headers.get("ETag", ""))
    return str(response.headers.get("Last-Modified", "")) if etag[:2] in {"", "W/"} else etag


def _receive(response: httpx.Response, part: Path, start: int, progress: Progress) -> bool:
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    if total is not None:
        refuse_full_disk(part.parent, total - start, part.stem)
    done = start
    with part.open("r+b" if start else "wb") as file:
        file.truncate(start)
        file.seek(start)
        for chunk in response.iter_raw():
            file.write(chunk)
            done += len(chunk)
            progress.update(done, total, unit="bytes", file=part.stem)
    if total is not None and done != total:
        raise _TryAgainError(f"{done} of {total} bytes came")
    # Without either, the end of the connection is the end of the file, whatever ended it.
    return total is not None or "chunked" in response.headers.get("Transfer-Encoding", "")


def _is_wanted(part: Path, sha256: str | None) -> bool:
    return sha256 is None or file_record(part, part.parent).sha256 == sha256


def _refuse_difference(url: str, part: Path, sha256: str | None, *, is_end_told: bool) -> None:
    found = file_record(part, part.parent).sha256
    if sha256 in {None, found}:
        return
    _drop(part)
    told = f"{without_secrets(url)} has sha256 {found}, wanted {sha256}. Nothing of it is kept."
    if not is_end_told:
        raise SourceUnavailable(
            f"{told} The server tells no length, so the download may have been cut; try again."
        )
    raise InvalidInput(f"{told} The file changed or the digest is of another file.")


def _resumable(part: Path) -> tuple[int, str]:
    """Return how much is there and the validator it belongs to; (0, "") starts anew."""
    try:
        validator = json.loads(_note_of(part).read_text(encoding="utf-8"))["validator"]
    except (OSError, ValueError, LookupError, TypeError):
        return 0, ""
    return (_size(part), str(validator)) if validator else (0, "")


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}-of")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _drop(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)


def _retry_after(response: httpx.Response) -> float:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0


def _pause(failures: int, asked_seconds: float) -> float:
    return min(max(2.0 ** (failures - 1), asked_seconds), LONGEST_PAUSE_SECONDS)
