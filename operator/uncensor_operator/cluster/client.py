"""A thin client of the API server: plain objects, a timeout on every request, errors with codes.

It carries requests through `kubernetes.aio`, which knows how to find and authenticate to a
cluster, but leaves its generated models aside: building them costs more than the request, and
they drop fields that they do not know.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config.config_exception import ConfigException

from uncensor_operator import names
from uncensor_operator.cluster.resources import RUNS, Resource
from uncensor_operator.errors import UncensorError
from uncensor_operator.telemetry import API_ERRORS, API_SECONDS

Object = dict[str, Any]
JSON = "application/json"
MERGE = "application/merge-patch+json"
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PAGE = 200
# A log comes through a node, which may be gone; the tail of a living one comes at once.
LOG_SECONDS = 10.0
NOT_FOUND, CONFLICT, FORBIDDEN, UNPROCESSABLE = 404, 409, 403, 422


class ApiError(UncensorError):
    """The API server said no, or nothing.

    Attributes:
        code: HTTP status; 0 when there was no answer.
        reason: the API's word, such as AlreadyExists.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason

    @property
    def is_final(self) -> bool:
        """Whether the same request would be refused again."""
        return self.code in (400, FORBIDDEN, 405, 413, UNPROCESSABLE)


class Client:
    """Requests to one API server; objects in and out are plain dictionaries."""

    def __init__(self, api: ApiClient, request_seconds: float) -> None:
        self._api = api
        self._seconds = request_seconds

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """Return an object, or None when there is none of this name."""
        try:
            return await self._json("GET", resource, resource.path(namespace, name))
        except ApiError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    async def list(
        self, resource: Resource, namespace: str | None, **parameters: str
    ) -> list[Object]:
        """Return all objects that a selection names."""
        return [raw async for raw in self.each(resource, namespace, **parameters)]

    def each(
        self, resource: Resource, namespace: str | None, **parameters: str
    ) -> AsyncIterator[Object]:
        """Yield all objects that a selection names; never more than a page of them is held."""
        return self._pages(resource, namespace, JSON, parameters)

    def each_metadata(
        self, resource: Resource, namespace: str | None, **parameters: str
    ) -> AsyncIterator[Object]:
        """Likewise, with nothing of the objects but their metadata."""
        return self._pages(resource, namespace, METADATA, parameters)

    async def _pages(
        self,
        resource: Resource,
        namespace: str | None,
        kind: str,
        parameters: Mapping[str, str],
    ) -> AsyncIterator[Object]:
        query = {"limit": str(PAGE), **parameters}
        while True:
            path = f"{resource.path(namespace)}?{urlencode(query)}"
            page = await self._json("GET", resource, path, kind=kind)
            for raw in page.get("items") or ():  # an empty list of metadata is null
                yield raw
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        """Create an object and return it as the server has it."""
        path = resource.path(body["metadata"].get("namespace"))
        query = urlencode({"fieldManager": names.FIELD_MANAGER, "fieldValidation": "Strict"})
        return await self._json("POST", resource, f"{path}?{query}", body)

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        part: str | None = None,
    ) -> Object:
        """Change fields by a merge patch; a resourceVersion in the body must still be current."""
        path = f"{resource.path(namespace, name, part)}?fieldManager={names.FIELD_MANAGER}"
        return await self._json("PATCH", resource, path, body, kind=MERGE)

    async def delete(
        self, resource: Resource, namespace: str, name: str, options: Mapping[str, Any]
    ) -> None:
        """Ask for the deletion of an object; one that is gone already is fine."""
        try:
            await self._json("DELETE", resource, resource.path(namespace, name), options)
        except ApiError as error:
            if error.code != NOT_FOUND:
                raise

    async def log(self, namespace: str, pod: str, **parameters: str) -> str:
        """Return the end of a pod's log.

        Raises:
            ApiError: there is none (yet), or it cannot be read.
        """
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log?{urlencode(parameters)}"
        _, text = await self._request(
            "GET", "pods/log", path, None, JSON, seconds=min(LOG_SECONDS, self._seconds)
        )
        return text

    async def answers(self) -> bool:
        """Tell whether the server serves our kind."""
        try:
            await self._json("GET", RUNS, f"/apis/{names.API_VERSION}")
        except ApiError:
            return False
        return True

    async def close(self) -> None:
        """Close connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def _json(
        self,
        method: str,
        resource: Resource,
        path: str,
        body: Mapping[str, Any] | None = None,
        kind: str = JSON,
    ) -> Object:
        code, text = await self._request(method, resource.plural, path, body, kind)
        try:
            value = json.loads(text)
        except ValueError as error:
            # A proxy's page, or an answer that broke off.
            raise ApiError(0, "BadAnswer", f"{method} {path}: the answer is not JSON.") from error
        if not isinstance(value, dict):
            raise ApiError(code, "BadAnswer", f"{method} {path}: the answer is no object.")
        return value

    async def _request(
        self,
        method: str,
        what: str,
        path: str,
        body: Mapping[str, Any] | None,
        kind: str,
        *,
        seconds: float | None = None,
    ) -> tuple[int, str]:
        accept = kind if method == "GET" else JSON
        headers = {"Content-Type": kind, "Accept": f"{accept}, {JSON}, */*"}
        began = time.monotonic()
        try:
            await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            response = await self._api.call_api(
                method,
                self._api.configuration.host + path,
                headers,
                body=body,
                _request_timeout=aiohttp.ClientTimeout(total=seconds or self._seconds),
            )
            text = (await response.read()).decode(  # type: ignore[no-untyped-call]
                errors="replace"
            )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            API_ERRORS.labels(method, what, "0").inc()
            said = str(error) or type(error).__name__
            raise ApiError(0, "NoAnswer", f"{method} {path}: {said}") from error
        API_SECONDS.labels(method, what).observe(time.monotonic() - began)
        if response.status >= 400:  # noqa: PLR2004 - HTTP's own border
            API_ERRORS.labels(method, what, str(response.status)).inc()
            raise _refusal(response.status, text)
        return response.status, text


async def connect(request_seconds: float) -> Client:
    """Return a client of the cluster around us, or of the current kubeconfig's.

    Raises:
        UncensorError: there is neither.
    """
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException:
        try:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError) as error:
            raise UncensorError(
                f"No cluster to work on: this is no pod, and the kubeconfig cannot be used "
                f"({error}). Set KUBECONFIG."
            ) from error
    configuration.connection_pool_maxsize = 64
    # aiohttp would read ~/.netrc and the proxy's variables again for each request, in a thread.
    configuration.client_session_kwargs = {"trust_env": False}
    if configuration.proxy is None:
        configuration.proxy = _proxy(configuration.host)
    return Client(ApiClient(configuration), request_seconds)


def _proxy(host: str) -> str | None:
    """Return the proxy that HTTPS_PROXY and NO_PROXY name for a server."""
    where = urlsplit(host)
    if proxy_bypass(where.netloc):
        return None
    return getproxies().get(where.scheme)


def _refusal(code: int, text: str) -> ApiError:
    try:
        status = json.loads(text)
        return ApiError(code, str(status["reason"]), str(status["message"]))
    except (ValueError, KeyError, TypeError):
        return ApiError(code, "Refused", text[:500].strip() or f"HTTP {code}")
