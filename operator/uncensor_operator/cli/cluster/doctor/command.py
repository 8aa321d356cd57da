"""The checks in their order, and what people and programs see of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from uncensor_operator.cli.cluster.connection import connect
from uncensor_operator.cli.cluster.doctor.findings import (
    Check,
    Examined,
    Finding,
    Level,
    problem,
    unknown,
)
from uncensor_operator.cli.cluster.doctor.living import runs
from uncensor_operator.cli.cluster.doctor.operators import own_operator, training_operator
from uncensor_operator.cli.cluster.doctor.pools import pools
from uncensor_operator.cli.cluster.doctor.rights import rights
from uncensor_operator.cli.cluster.doctor.security import pod_security
from uncensor_operator.cli.cluster.doctor.server import api_server, own_crd
from uncensor_operator.cli.cluster.doctor.storage import storage
from uncensor_operator.cli.cluster.options import ClusterOptions
from uncensor_operator.errors import ClusterError

# Later checks use what earlier ones have found.
_CHECKS: Sequence[tuple[str, Check]] = (
    ("CRD", own_crd),
    ("training-operator", training_operator),
    ("operator", own_operator),
    ("settings", pools),
    ("storage", storage),
    ("rights", rights),
    ("Pod Security", pod_security),
    ("runs", runs),
)


def doctor(options: ClusterOptions, *, operator_namespace: str | None, as_json: bool) -> int:
    """Print the findings and return the exit code: 1 with a problem, else 0.

    Raises:
        UncensorError: no cluster is configured, or the client library is missing.
    """
    examined = Examined(connect(options), operator_namespace)
    findings: list[Finding] = []
    for finding in _examine(examined):
        findings.append(finding)
        if not as_json:
            # At once: a check may take a while on a large cluster.
            _show(finding)
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=1, ensure_ascii=False))  # noqa: T201
    else:
        _sum_up(findings)
    return int(any(one.level is Level.PROBLEM for one in findings))


def _examine(examined: Examined) -> Iterator[Finding]:
    try:
        yield from api_server(examined)
    except ClusterError as error:
        # Nothing else can be asked.
        yield problem("API server", str(error), "is this the right context? Does kubectl work?")
        return
    for subject, check in _CHECKS:
        try:
            yield from check(examined)
        except ClusterError as error:
            yield unknown(subject, error)


def _show(finding: Finding) -> None:
    print(f"{finding.level.value:<8} {finding.subject}: {finding.found}", flush=True)  # noqa: T201
    if finding.remedy:
        print(f"{'':<8} -> {finding.remedy}", flush=True)  # noqa: T201


def _sum_up(findings: Sequence[Finding]) -> None:
    counts = [(sum(one.level is level for one in findings), level) for level in Level]
    words = ", ".join(f"{count} {level.value}" for count, level in reversed(counts))
    print(f"\n{words}")  # noqa: T201
