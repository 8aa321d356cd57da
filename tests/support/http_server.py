"""A real file server on localhost with byte ranges, entity tags, and faults on demand."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What is served, what goes wrong next, and what was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """Answers of the next requests, instead of the file."""
    cuts: list[int] = field(default_factory=list)
    """The next bodies end after so many bytes, with the connection."""
    stalls_at: int | None = None
    """Bodies stop after so many bytes, with the connection open, until `goes_on` is set."""
    is_stalled: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)
    redirects: dict[str, str] = field(default_factory=dict)
    """Where a path leads instead of to a file."""
    encoding: str = "identity"
    sends_etag: bool = True
    tells_length: bool = True
    knows_ranges: bool = True
    heeds_if_range: bool = True
    requests: list[dict[str, str]] = field(default_factory=list)

    def etag(self, path: str) -> str:
        return f'"{hashlib.sha256(self.files[path]).hexdigest()[:16]}"'


@contextmanager
def file_server(files: dict[str, bytes]) -> Iterator[FileServer]:
    state = FileServer(files=dict(files))

    class Handler(_FileHandler):
        served = state

    with running(Handler) as url:
        state.url = url
        try:
            yield state
        finally:
            state.goes_on.set()


@contextmanager
def running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _FileHandler(BaseHTTPRequestHandler):
    served: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        state = self.served
        state.requests.append({"path": self.path, **dict(self.headers.items())})
        path = self.path.partition("?")[0]
        if state.statuses:
            self._empty(state.statuses.pop(0))
        elif path in state.redirects:
            self._redirect(state.redirects[path])
        elif path not in state.files:
            self._empty(404)
        else:
            self._send_file(path)

    def _send_file(self, path: str) -> None:
        content = self.served.files[path]
        start = self._start(path)
        if start and start >= len(content):
            return self._empty(416)
        self._send_head(path, start)
        return self._send_body(content[start:])

    def _send_head(self, path: str, start: int) -> None:
        state, size = self.served, len(self.served.files[path])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if state.sends_etag:
            self.send_header("ETag", state.etag(path))
        if state.encoding != "identity":
            self.send_header("Content-Encoding", state.encoding)
        if state.tells_length:
            self.send_header("Content-Length", str(size - start))
        else:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send_body(self, body: bytes) -> None:
        state = self.served
        if state.stalls_at is not None:
            first, body = body[: state.stalls_at], body[state.stalls_at :]
            self.wfile.write(first)
            self.wfile.flush()
            state.is_stalled.set()
            state.goes_on.wait(60)
        if state.cuts:
            self.wfile.write(body[: state.cuts.pop(0)])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        # The reader may have been killed, or tired of waiting.
        with suppress(ConnectionError):
            self.wfile.write(body)

    def _start(self, path: str) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if found is None or not self.served.knows_ranges:
            return 0
        etag = self.served.etag(path)
        is_same = self.headers.get("If-Range", etag) == etag
        return int(found[1]) if is_same or not self.served.heeds_if_range else 0

    def _redirect(self, location: str) -> None:
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _empty(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Stay silent."""
