import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from support.http_server import FileServer, file_server
from uncensor_trainer.exits import InvalidInput, SourceUnavailable, WorkspaceFailure
from uncensor_trainer.progress import Progress
from uncensor_trainer.sources import web
from uncensor_trainer.workspace import Workspace

CONTENT = bytes(range(256)) * 40_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
Fetch = Callable[..., dict[str, Any]]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server({"/rows.json": CONTENT}) as state:
        yield state


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def download(
    server: FileServer, tmp_path: Path, silent: Progress, pauses: list[float]
) -> Callable[..., Path]:
    def run(
        query: str = "",
        sha256: str | None = None,
        progress: Progress = silent,
        sleep: Callable[[float], None] = pauses.append,
        silence_seconds: float = 60.0,
    ) -> Path:
        target = tmp_path / "rows.json"
        web.download(
            f"{server.url}/rows.json{query}",
            target,
            progress=progress,
            sha256=sha256,
            sleep=sleep,
            silence_seconds=silence_seconds,
        )
        return target

    return run


def test_a_cut_connection_is_resumed_where_it_ended(
    server: FileServer, download: Callable[..., Path]
) -> None:
    server.cuts = [3_000_000, 2_000_000]
    assert download(sha256=DIGEST).read_bytes() == CONTENT
    assert [request.get("Range") for request in server.requests] == [
        None,
        "bytes=3000000-",
        "bytes=5000000-",
    ]


def test_a_later_call_goes_on_with_what_an_earlier_one_left(
    server: FileServer, download: Callable[..., Path]
) -> None:
    server.cuts = [4_000_000]

    def fails_from_now_on(_: float) -> None:
        server.statuses = [503] * web.FAILURES_IN_A_ROW

    with pytest.raises(SourceUnavailable):
        download(sleep=fails_from_now_on)
    server.statuses = []
    assert download().read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == "bytes=4000000-"


def test_a_file_that_changed_meanwhile_is_downloaded_anew(
    server: FileServer, download: Callable[..., Path]
) -> None:
    server.cuts = [3_000_000]

    def changes(_: float) -> None:
        server.files["/rows.json"] = CONTENT[::-1]

    assert download(sleep=changes).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("lacking", ["sends_etag", "knows_ranges"])
def test_a_server_that_cannot_resume_is_asked_from_the_start(
    server: FileServer, download: Callable[..., Path], lacking: str
) -> None:
    setattr(server, lacking, False)
    server.cuts = [3_000_000]
    assert download().read_bytes() == CONTENT


def test_bytes_that_a_power_cut_damaged_are_fetched_once_more(
    server: FileServer, download: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "rows.json.part").write_bytes(bytes(5_000_000))
    note = json.dumps({"validator": server.etag("/rows.json")})
    (tmp_path / "rows.json.part-of").write_text(note)
    assert download(sha256=DIGEST).read_bytes() == CONTENT
    assert [request.get("Range") for request in server.requests] == ["bytes=5000000-", None]


def test_a_server_that_sends_a_part_of_another_version_is_asked_from_the_start(
    server: FileServer, download: Callable[..., Path], tmp_path: Path
) -> None:
    server.heeds_if_range = False
    (tmp_path / "rows.json.part").write_bytes(bytes(5_000_000))
    (tmp_path / "rows.json.part-of").write_text('{"validator": "\\"of yesterday\\""}')
    assert download().read_bytes() == CONTENT


def test_a_note_without_its_bytes_starts_anew(
    download: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "rows.json.part-of").write_text('{"vali')
    assert download(sha256=DIGEST).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.glob("rows*")] == ["rows.json"]


def test_a_silent_connection_counts_as_cut(
    server: FileServer, download: Callable[..., Path], pauses: list[float]
) -> None:
    server.stalls_at = 3_000_000

    def speaks_again(_: float) -> None:
        server.stalls_at = None

    assert download(sleep=speaks_again, silence_seconds=0.2).read_bytes() == CONTENT
    assert server.requests[-1]["Range"].startswith("bytes=")


def test_a_redirect_is_followed_and_resumed(
    server: FileServer, download: Callable[..., Path]
) -> None:
    server.files["/elsewhere.json"] = server.files.pop("/rows.json")
    server.redirects["/rows.json"] = "/elsewhere.json?key=hunter2"
    server.cuts = [3_000_000]
    assert download(sha256=DIGEST).read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == "bytes=3000000-"


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        pytest.param("/rows.json", "TooManyRedirects", id="in a circle"),
        pytest.param("file:///etc/passwd", "UnsupportedProtocol", id="to this machine"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_the_users(
    server: FileServer, download: Callable[..., Path], location: str, kind: str
) -> None:
    server.redirects["/rows.json"] = location
    with pytest.raises(InvalidInput, match=kind):
        download()


def test_a_file_without_a_length_comes_whole_and_is_told_about(
    server: FileServer, download: Callable[..., Path]
) -> None:
    server.tells_length = False
    stream = io.StringIO()
    progress = Progress("fetch", stream=stream, silent=False)
    assert download(progress=progress).read_bytes() == CONTENT
    assert "set sha256" in stream.getvalue()


def test_a_cut_that_looks_like_an_end_is_never_accepted(
    server: FileServer, download: Callable[..., Path], tmp_path: Path
) -> None:
    server.tells_length = False
    server.cuts = [3_000_000]
    with pytest.raises(SourceUnavailable, match="may have been cut"):
        download(sha256=DIGEST)
    assert list(tmp_path.glob("rows*")) == []


def test_a_file_that_is_sent_compressed_only_is_refused(
    server: FileServer, download: Callable[..., Path]
) -> None:
    server.encoding = "gzip"
    with pytest.raises(InvalidInput, match="compressed only"):
        download()


def test_an_empty_file_is_a_file(server: FileServer, download: Callable[..., Path]) -> None:
    server.files["/rows.json"] = b""
    assert download().read_bytes() == b""


def test_a_file_larger_than_the_disk_is_refused_before_it_comes(
    download: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Mock(free=1_000))
    with pytest.raises(WorkspaceFailure, match=r"needs 0\.0 GB.*0\.0 GB free"):
        download()
    assert not (tmp_path / "rows.json").exists()


def test_what_came_stays_when_a_signature_ran_out_meanwhile(
    server: FileServer, download: Callable[..., Path]
) -> None:
    server.cuts = [4_000_000]

    def runs_out(_: float) -> None:
        server.statuses = [403]

    with pytest.raises(InvalidInput, match="signature"):
        download(sleep=runs_out)
    assert download(sha256=DIGEST).read_bytes() == CONTENT
    assert server.requests[-1]["Range"] == "bytes=4000000-"


def test_busy_answers_are_retried_with_growing_pauses(
    server: FileServer, download: Callable[..., Path], pauses: list[float]
) -> None:
    server.statuses = [503, 429, 500]
    assert download().read_bytes() == CONTENT
    assert pauses == [1.0, 2.0, 4.0]


def test_a_server_that_stays_down_is_unavailable(
    server: FileServer, download: Callable[..., Path], pauses: list[float]
) -> None:
    server.statuses = [503] * 100
    with pytest.raises(SourceUnavailable, match="answers 503"):
        download()
    assert len(pauses) == web.FAILURES_IN_A_ROW - 1


def test_nobody_listening_is_unavailable(tmp_path: Path, silent: Progress) -> None:
    with pytest.raises(SourceUnavailable, match="ConnectError"):
        web.download(
            "http://127.0.0.1:9/rows.json",
            tmp_path / "x",
            progress=silent,
            sleep=lambda _: None,
        )


@pytest.mark.parametrize(("status", "told"), [(401, "refuses"), (403, "refuses"), (404, "404")])
def test_a_refusal_is_the_users_and_tells_no_secrets(
    server: FileServer, download: Callable[..., Path], status: int, told: str
) -> None:
    server.statuses = [status]
    server.url = server.url.replace("http://", "http://user:hunter2@")
    with pytest.raises(InvalidInput, match=told) as caught:
        download("?signature=hunter3")
    assert "/rows.json?..." in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_another_digest_than_wanted_keeps_nothing(
    download: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=DIGEST):
        download(sha256="0" * 64)
    assert list(tmp_path.glob("rows*")) == []


def test_progress_tells_bytes_up_to_the_last(download: Callable[..., Path]) -> None:
    stream = io.StringIO()
    download(progress=Progress("fetch", stream=stream, silent=False))
    last = json.loads(stream.getvalue().splitlines()[-1])
    assert (last["step"], last["total"], last["unit"]) == (len(CONTENT), len(CONTENT), "bytes")


def http_rows(server: FileServer, **more: str) -> dict[str, Any]:
    source = {"kind": "http", "url": f"{server.url}/rows.json"} | more
    return {"datasets": [{"name": "rows", "source": source}]}


def test_content_is_cached_and_needs_no_server_again(
    server: FileServer, fetched: Fetch, model: Path, workspace: Workspace
) -> None:
    named = {"kind": "path", "path": str(model)}
    first = fetched(model=named, **http_rows(server, sha256=DIGEST))
    server.statuses = [500] * 100
    again = fetched(model=named, **http_rows(server, sha256=DIGEST))
    assert again == first
    file = workspace.root / first["datasets"]["rows"]["files"][0]
    assert file.read_bytes() == CONTENT
    record = json.loads((file.parent / "source.json").read_text())
    assert record["files"] == [{"name": "rows.json", "size": len(CONTENT), "sha256": DIGEST}]


def test_cached_content_that_lost_bytes_is_fetched_again(
    server: FileServer, fetched: Fetch, model: Path, workspace: Workspace
) -> None:
    named = {"kind": "path", "path": str(model)}
    entry = fetched(model=named, **http_rows(server))
    file = workspace.root / entry["datasets"]["rows"]["files"][0]
    file.write_bytes(b"half")
    fetched(model=named, **http_rows(server))
    assert file.read_bytes() == CONTENT


def test_a_renewed_signature_finds_the_same_content(
    server: FileServer, fetched: Fetch, model: Path
) -> None:
    named = {"kind": "path", "path": str(model)}
    for signature in ("old", "new"):
        fetched(
            model=named,
            **http_rows(server, url=f"{server.url}/rows.json?s={signature}", sha256=DIGEST),
        )
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("ftp://example.org/a.json", "wanted http or https", id="scheme"),
        pytest.param("http://example.org/", "set `filename`", id="no name"),
        pytest.param("http://example.org/page.html", "not a data file", id="no data"),
        pytest.param("http://example.org/%2e%2e%2f.json", "unsafe", id="climbing name"),
        pytest.param("http://example.org/a%2fb.json", "plain name", id="name with a folder"),
        pytest.param("http://[::1/a.json", "cannot be read", id="torn address"),
        pytest.param("http://a..b/rows.json", "not a usable URL", id="no host name"),
        pytest.param("http://127.0.0.1:99999/rows.json", "cannot be read", id="no port"),
    ],
)
def test_a_url_that_names_no_data_file_is_refused(
    fetched: Fetch, model: Path, url: str, told: str
) -> None:
    source = {"kind": "http", "url": url}
    with pytest.raises(InvalidInput, match=told):
        fetched(
            model={"kind": "path", "path": str(model)},
            datasets=[{"name": "x", "source": source}],
        )


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    url = "https://user:hunter2@[2001:db8::1]:8443/a/rows.json?key=hunter3#hunter4"
    assert web.without_secrets(url) == "https://[2001:db8::1]:8443/a/rows.json?..."


def test_no_secret_of_a_url_reaches_the_workspace(
    server: FileServer, fetched: Fetch, model: Path, workspace: Workspace
) -> None:
    url = server.url.replace("http://", "http://user:hunter2@")
    fetched(
        model={"kind": "path", "path": str(model)},
        **http_rows(server, url=f"{url}/rows.json?key=hunter3"),
    )
    # The test's own run file is the only place with the URL as it was given.
    written = [path for path in workspace.root.rglob("*.json") if path.name != "night.run.json"]
    assert len(written) >= 3
    assert [path for path in written if b"hunter" in path.read_bytes()] == []
