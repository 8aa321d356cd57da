"""One connection to an API server, with the user's own rights; every request has a timeout.

The `kubernetes` package reads the kubeconfig (exec plugins, OIDC, proxies, several files) and
sends the requests. Objects stay dictionaries: a command must be able to show a run that a newer
operator wrote.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from uncensor_operator import names
from uncensor_operator.cli.cluster.options import ClusterOptions
from uncensor_operator.errors import ClusterError, UncensorError

Object = dict[str, Any]

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PATCH = "application/merge-patch+json"
_CODE_OK = 299
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404


def runs_path(namespace: str | None, name: str | None = None) -> str:
    """Return the address of a run, of a namespace's runs, or of all runs."""
    space = f"/namespaces/{namespace}" if namespace else ""
    tail = f"/{name}" if name else ""
    return f"/apis/{names.API_VERSION}{space}/{names.PLURAL}{tail}"


class Connection:
    """Requests to one API server; paths begin with /api or /apis."""

    def __init__(self, client: Any, namespace: str, where: str, options: ClusterOptions) -> None:
        self._client = client
        self.namespace = namespace
        """Namespace that is meant where none is named."""
        self.where = where
        """The cluster in words, for messages."""
        self.options = options

    def get(self, path: str, **query: object) -> Object:
        """Return the answer to a GET.

        Raises:
            ClusterError: no answer, or a refusal with its code.
        """
        return self._json("GET", path, None, query)

    def items(self, path: str, **query: object) -> list[Object]:
        """Return the objects of a list, page by page until its end."""
        found: list[Object] = []
        more: dict[str, object] = {}
        while True:
            answer = self.get(path, limit=500, **query, **more)
            found += answer.get("items") or []
            token = (answer.get("metadata") or {}).get("continue")
            if not token:
                return found
            more = {"continue": token}

    def create(self, path: str, body: Object) -> Object:
        """Create an object and return it as stored."""
        return self._json("POST", path, body, {})

    def patch(self, path: str, body: Object) -> Object:
        """Merge `body` into an object and return it as stored."""
        return self._json("PATCH", path, body, {"fieldManager": "uncensor-cli"})

    def delete(self, path: str) -> None:
        """Delete an object."""
        self._json("DELETE", path, None, {})

    def text(self, path: str, **query: object) -> str:
        """Return the answer as text."""
        with self._answer("GET", path, None, query, READ_SECONDS) as answer:
            return bytes(answer.data).decode("utf-8", errors="replace")

    def lines(self, path: str, *, idle_seconds: float, **query: object) -> Iterator[str]:
        """Yield the lines of an endless answer until it ends.

        Raises:
            TimeoutError: nothing came for `idle_seconds`, or the connection broke; ask again.
        """
        with self._answer("GET", path, None, query, idle_seconds) as answer:
            rest = b""
            for chunk in self._chunks(answer):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (line.decode("utf-8", errors="replace") for line in whole)
            if rest:
                yield rest.decode("utf-8", errors="replace")

    @staticmethod
    def _chunks(answer: Any) -> Iterator[bytes]:
        errors = _urllib3_errors()
        try:
            # read1 returns what is there; stream() would wait until a block is full.
            while chunk := answer.read1(65536):
                yield chunk
        except (errors.HTTPError, OSError) as error:
            raise TimeoutError(str(error)) from error

    def _json(
        self, method: str, path: str, body: Object | None, query: Mapping[str, object]
    ) -> Object:
        with self._answer(method, path, body, query, READ_SECONDS) as answer:
            try:
                return dict(json.loads(answer.data))
            except (ValueError, TypeError) as error:
                raise ClusterError(
                    f"{self.where} answered {path} with something that is not JSON; is it really "
                    "the address of a Kubernetes API server?"
                ) from error

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: Object | None,
        query: Mapping[str, object],
        read_seconds: float,
    ) -> Iterator[Any]:
        headers = {"Accept": "application/json, */*"}
        if method == "PATCH":
            headers["Content-Type"] = _PATCH
        errors = _urllib3_errors()
        try:
            request = self._client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(
                *request, _request_timeout=(CONNECT_SECONDS, read_seconds)
            ).response
        except (errors.HTTPError, OSError, _api_exception()) as error:
            raise ClusterError(_no_answer(self.where, error)) from error
        try:
            if answer.status > _CODE_OK:
                raise _refusal(self.where, method, path, answer.status, answer.data)
            yield answer
        finally:
            answer.close()


def connect(options: ClusterOptions) -> Connection:
    """Read the kubeconfig, or a pod's service account; nothing is asked of the server yet.

    Raises:
        UncensorError: the client library is missing.
        ClusterError: no cluster is configured, or the kubeconfig is at fault.
    """
    try:
        config, client = _module("kubernetes.config"), _module("kubernetes.client")
    except ModuleNotFoundError as error:
        raise UncensorError(
            "Commands on a cluster need the client library, which is not installed: "
            "pip install 'uncensor-operator[operator]'"
        ) from error
    settings = client.Configuration()
    # A person waits: one try. urllib3 would make four, each with its own timeout.
    settings.retries = 0
    source = str(options.kubeconfig) if options.kubeconfig else _default_kubeconfig(config)
    try:
        if _exists(source):
            context = _loaded(config, source, options.context, settings)
            where = f"the cluster of context {context['name']} ({settings.host})"
            namespace = (context.get("context") or {}).get("namespace")
        elif _in_cluster(options):
            config.load_incluster_config(client_configuration=settings)
            where, namespace = f"this cluster ({settings.host})", _own_namespace()
        else:
            raise ClusterError(_no_cluster(options, source))
    except (config.ConfigException, OSError, ValueError, TypeError, KeyError) as error:
        raise ClusterError(f"The kubeconfig {source} cannot be used: {_plain(error)}") from error
    except _yaml_error() as error:
        raise ClusterError(f"The kubeconfig {source} is not YAML: {_plain(error)}") from error
    chosen = options.namespace or namespace or "default"
    return Connection(client.ApiClient(settings), chosen, where, options)


def _loaded(config: Any, source: str, wanted: str | None, settings: Any) -> Mapping[str, Any]:
    """Load a kubeconfig and return the context that is used."""
    contexts, current = _contexts(config, source)
    if wanted is not None and wanted not in contexts:
        there = ", ".join(sorted(contexts)) or "none"
        raise ClusterError(f"The kubeconfig {source} has no context {wanted}; there are: {there}.")
    if wanted is None and current is None:
        there = ", ".join(sorted(contexts)) or "none"
        raise ClusterError(
            f"The kubeconfig {source} chooses no context; name one with --context: {there}."
        )
    config.load_kube_config(
        config_file=source, context=wanted, client_configuration=settings, persist_config=False
    )
    return contexts[wanted or str(current)]


def _contexts(config: Any, source: str) -> tuple[dict[str, Mapping[str, Any]], str | None]:
    merged = config.kube_config.KubeConfigMerger(source).config
    if merged is None:
        raise ClusterError(f"The kubeconfig {source} is empty.")
    contexts: dict[str, Mapping[str, Any]] = {}
    for one in merged.value.get("contexts") or []:
        value = one.value if hasattr(one, "value") else one
        contexts[str(value["name"])] = value
    current = merged.value.get("current-context") or None
    if current is not None and current not in contexts:
        raise ClusterError(
            f"The kubeconfig {source} chooses the context {current}, which it does not have."
        )
    return contexts, current


def _exists(source: str) -> bool:
    return any(Path(part).expanduser().is_file() for part in source.split(":") if part)


def _default_kubeconfig(config: Any) -> str:
    # An empty KUBECONFIG counts as none, as it does for kubectl.
    return str(config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION) or "~/.kube/config"


def _in_cluster(options: ClusterOptions) -> bool:
    asked = options.kubeconfig or options.context
    return not asked and (_SERVICE_ACCOUNT / "token").is_file()


def _own_namespace() -> str | None:
    try:
        return (_SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _no_cluster(options: ClusterOptions, source: str) -> str:
    if options.kubeconfig:
        return f"The kubeconfig {source} does not exist."
    return (
        f"No cluster is configured: there is no kubeconfig {source}, and this is no pod. Set "
        "KUBECONFIG or give --kubeconfig FILE."
    )


def _no_answer(where: str, error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    words = _plain(cause)
    if "CERTIFICATE_VERIFY_FAILED" in words:
        words = "its certificate is not signed by the authority that the kubeconfig names"
    elif "refused" in words:
        words = "nothing listens at that address"
    elif "resolve" in words or "Name or service" in words:
        words = "its host name cannot be resolved"
    elif "timed out" in words:
        words = f"no answer within {CONNECT_SECONDS:.0f} s"
    return f"No answer from {where}: {words}. Is it up, and is this the right context?"


def _refusal(where: str, method: str, path: str, code: int, data: bytes) -> ClusterError:
    try:
        said = str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        said = data.decode("utf-8", errors="replace").strip()[:500]
    if code == _UNAUTHORIZED:
        words = (
            f"{where} does not accept your credentials (401): they are wrong or have expired. "
            "Log in again, as you do for kubectl."
        )
    elif code == _FORBIDDEN:
        words = f"{where} does not let you (403): {said}"
    elif code == _NOT_FOUND:
        words = f"{where} has no {path} (404): {said}"
    else:
        words = f"{where} refused {method} {path} ({code}): {said}"
    return ClusterError(words[0].upper() + words[1:], code)


def _plain(error: object) -> str:
    """Return the first line of what an error says, without the object's address and class."""
    text = str(error).strip().splitlines()
    line = text[0] if text else type(error).__name__
    return line.rpartition(">: ")[2].rpartition("object at 0x")[0] or line.rpartition(">: ")[2]


def _module(name: str) -> Any:
    """Import a module of the client library, whose types would cost a second in every check."""
    return importlib.import_module(name)


def _urllib3_errors() -> Any:
    return _module("urllib3.exceptions")


def _api_exception() -> type[Exception]:
    found: type[Exception] = _module("kubernetes.client.exceptions").ApiException
    return found


def _yaml_error() -> type[Exception]:
    found: type[Exception] = _module("yaml").YAMLError
    return found
