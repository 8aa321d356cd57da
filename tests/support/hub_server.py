"""A small hub on localhost: the part of the REST API that huggingface_hub needs to download."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote

from support.http_server import running

COMMIT = "c0ffee" + "0" * 34
_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/(revision|tree)/([^/?]+)")
_FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class Hub:
    """What is served, who may read it, and what was asked."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files of `models/owner/name` or `datasets/owner/name`."""
    gated: set[str] = field(default_factory=set)
    token: str | None = None
    """Wanted for every request, when set."""
    tampered: set[str] = field(default_factory=set)
    """Files that come with other bytes than the tree lists."""
    status: int | None = None
    """Answer of every request, when set."""
    refuses_after: str | None = None
    """The name of a file; once it was sent, the token has run out."""
    cuts: dict[str, int] = field(default_factory=dict)
    """The next body of a file ends after so many bytes, with the connection."""
    is_a_web_page: bool = False
    """A proxy answers everything with a page."""
    url: str = ""
    asked: list[str] = field(default_factory=list)
    ranges: list[tuple[str, str]] = field(default_factory=list)
    """(file, Range header) of the requests that had one."""


@contextmanager
def hub_server(repositories: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    state = Hub(repositories=repositories)

    class Handler(_HubHandler):
        hub = state

    with running(Handler) as url:
        state.url = url
        yield state


class _HubHandler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.hub.asked.append(path)
        if self.hub.is_a_web_page:
            return self._send(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
        if self.hub.status is not None:
            return self._refuse(self.hub.status, "")
        if found := _API.match(path):
            return self._api(f"{found[1]}/{found[2]}", found[3], found[4])
        if found := _FILE.match(path):
            return self._file(f"{'datasets' if found[1] else 'models'}/{found[2]}", found[4])
        return self._refuse(404, "RepoNotFound")

    def _api(self, name: str, what: str, revision: str) -> None:
        files = self._files(name)
        if files is None:
            return None
        if revision not in {"main", COMMIT}:
            return self._refuse(404, "RevisionNotFound")
        if what == "revision":
            return self._json({"id": name.partition("/")[2], "sha": COMMIT, "siblings": []})
        return self._json([_entry(path, content) for path, content in files.items()])

    def _file(self, name: str, path: str) -> None:
        files = self._files(name)
        if files is None:
            return None
        if path not in files:
            return self._refuse(404, "EntryNotFound")
        content = files[path]
        if path in self.hub.tampered:
            content = bytes(len(content))
        if wanted := self.headers.get("Range"):
            self.hub.ranges.append((path, wanted))
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        if path == self.hub.refuses_after and self.command == "GET":
            self.hub.token = "another one"  # noqa: S105 - of a fake
        extra = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        cut = self.hub.cuts.pop(path, None) if self.command == "GET" else None
        return self._send(206 if start else 200, content[start:], extra, cut=cut)

    def _files(self, name: str) -> dict[str, bytes] | None:
        hub = self.hub
        if name in hub.gated:
            self._refuse(403, "GatedRepo")
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._refuse(401, "RepoNotFound")
        elif name not in hub.repositories:
            self._refuse(404, "RepoNotFound")
        else:
            return hub.repositories[name]
        return None

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code} if code else {})

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], *, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Stay silent."""


def _entry(path: str, content: bytes) -> dict[str, object]:
    blob = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": blob}
    if path.endswith(".safetensors"):
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"size": len(content), "oid": digest, "pointerSize": 134}
    return entry
