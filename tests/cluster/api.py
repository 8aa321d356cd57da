"""A small client of the API server: what the harness and its tests need, without dependencies."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

Object = dict[str, Any]
APPLY = "application/apply-patch+yaml"


class ApiError(Exception):
    """The server's refusal; `code` is the HTTP status, `reason` the API's word for it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason


class Api:
    """Requests with the rights of one token; paths start with /api or /apis."""

    def __init__(self, server: str, authority: Path, token: str) -> None:
        self.server = server
        self.token = token
        self.tls = ssl.create_default_context(cafile=str(authority))

    def request(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json"
    ) -> str:
        """The text of the answer; `ApiError` for refusals, `OSError` for no answer."""
        request = urllib.request.Request(  # noqa: S310 - the server is ours
            self.server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind},
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.tls) as answer:  # noqa: S310
                text: str = answer.read().decode()
                return text
        except urllib.error.HTTPError as error:
            with error:
                raise refusal(error.code, error.read().decode(errors="replace")) from None

    def get(self, path: str) -> Object:
        return dict(json.loads(self.request("GET", path)))

    def items(self, path: str) -> list[Object]:
        """The objects of a list."""
        return list(self.get(path)["items"])

    def create(self, path: str, body: Object) -> Object:
        return dict(json.loads(self.request("POST", path, body)))

    def delete(self, path: str) -> None:
        self.request("DELETE", path)

    def apply(self, path: str, body: Object) -> Object:
        """Create or change the object at `path` (server-side apply)."""
        query = urlencode({"fieldManager": "uncensor-testbed", "force": "true"})
        return dict(json.loads(self.request("PATCH", f"{path}?{query}", body, kind=APPLY)))

    def answers(self, path: str = "/readyz") -> bool:
        """Whether the server says yes to a health check."""
        try:
            return self.request("GET", path) == "ok"
        except (ApiError, OSError):
            return False


def refusal(code: int, text: str) -> ApiError:
    try:
        status = json.loads(text)
        return ApiError(code, status["reason"], status["message"])
    except (ValueError, KeyError, TypeError):
        return ApiError(code, "Refused", text[:500])
