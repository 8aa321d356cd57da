"""The API server and the kind that it must know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from uncensor_operator import names
from uncensor_operator.api import crdgen
from uncensor_operator.cli.cluster.connection import Object
from uncensor_operator.cli.cluster.doctor.findings import (
    FORBIDDEN,
    NOT_FOUND,
    Examined,
    Finding,
    ok,
    problem,
    warning,
)
from uncensor_operator.errors import ClusterError

# CEL rules in CRDs are stable from here on.
_OLDEST = (1, 29)
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_SHOWN = 5


def api_server(examined: Examined) -> Iterator[Finding]:
    """Check that the server answers and is new enough."""
    found = examined.connection.get("/version")
    version = str(found.get("gitVersion", "?"))
    where = examined.connection.where
    if _numbers(found) < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        yield problem(
            "API server",
            f"{where} is Kubernetes {version}",
            f"upgrade it to {wanted} or newer: the CRD's rules need it",
        )
    else:
        yield ok("API server", f"{where} answers; Kubernetes {version}")


def _numbers(version: Object) -> tuple[int, int]:
    # Some providers write the minor version as "31+".
    digits = [re.sub(r"\D.*", "", str(version.get(key, ""))) for key in ("major", "minor")]
    return int(digits[0] or 0), int(digits[1] or 0)


def own_crd(examined: Examined) -> Iterator[Finding]:
    """Check that our kind is there, served, and the one that this program was made for."""
    connection = examined.connection
    try:
        found = connection.get(f"{_CRDS}/{names.CRD_NAME}")
    except ClusterError as error:
        if error.code == NOT_FOUND:
            yield problem("CRD", f"there is no CRD {names.CRD_NAME}", _INSTALL)
            return
        if error.code != FORBIDDEN:
            raise
        yield from _by_discovery(examined)
        return
    yield from _established(found)
    yield compared(found)


_INSTALL = "install it: the chart does, or `kubectl apply --server-side -f crds/`"


def _by_discovery(examined: Examined) -> Iterator[Finding]:
    """Everybody may ask which kinds there are, but not what a CRD says."""
    try:
        examined.connection.get(f"/apis/{names.API_VERSION}")
    except ClusterError as error:
        if error.code != NOT_FOUND:
            raise
        yield problem("CRD", f"the cluster does not serve {names.API_VERSION}", _INSTALL)
    else:
        yield warning(
            "CRD",
            f"{names.API_VERSION} is served; you may not read the CRD, so its version is not known",
            "let somebody who may read CRDs run `doctor`",
        )


def _established(crd: Object) -> Iterator[Finding]:
    conditions = {one["type"]: one for one in (crd.get("status") or {}).get("conditions") or []}
    established = conditions.get("Established", {})
    if established.get("status") != "True":
        names_accepted = conditions.get("NamesAccepted", {}).get("message", "")
        said = established.get("message") or names_accepted or "no reason given"
        yield problem(
            "CRD", f"{names.CRD_NAME} is not served: {said}", "see `kubectl describe crd`"
        )


def compared(crd: Object) -> Finding:
    """Compare the CRD on the server with the one that this program was made for."""
    served = {one["name"]: one for one in crd["spec"]["versions"] if one.get("served")}
    if names.VERSION not in served:
        there = ", ".join(served) or "none"
        return problem("CRD", f"{names.VERSION} is not served; served: {there}", _INSTALL)
    theirs = served[names.VERSION]["schema"]["openAPIV3Schema"]
    ours = crdgen.root_schema()
    if theirs == ours:
        return ok("CRD", f"{names.CRD_NAME} is there, with the schema of this program")
    return warning("CRD", _difference(ours, theirs), _ALIGN)


_ALIGN = (
    "bring both to one release: `pip install --upgrade uncensor-operator`, or upgrade the chart. "
    "Until then `validate` may judge otherwise than the server"
)


def _difference(ours: Object, theirs: Object) -> str:
    mine, served = set(_fields(ours, "")), set(_fields(theirs, ""))
    parts = ["the CRD is of another release than this program"]
    for fields, words in ((mine - served, "lacks"), (served - mine, "has in addition")):
        if fields:
            shown = ", ".join(sorted(fields)[:_SHOWN])
            more = f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else ""
            parts.append(f"it {words} {shown}{more}")
    if len(parts) == 1:
        parts.append("the same fields with other bounds, rules, defaults or descriptions")
    return "; ".join(parts)


def _fields(schema: Any, path: str) -> Iterator[str]:
    for name, below in (schema.get("properties") or {}).items():
        yield f"{path}.{name}".lstrip(".")
        yield from _fields(below, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from _fields(schema["items"], f"{path}[]")
