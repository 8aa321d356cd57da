"""The runs themselves: which of them waits for a person, and for what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from uncensor_operator.cli.cluster.doctor.findings import Examined, Finding, ok, problem
from uncensor_operator.cli.cluster.options import program
from uncensor_operator.cli.cluster.runs import Run, find_all
from uncensor_operator.names import ConditionType

# The operator answers within a second; after this, nobody is listening.
_UNSEEN_SECONDS = 60.0


def runs(examined: Examined) -> Iterator[Finding]:
    """Check every run of the namespace, or of all with -A."""
    found = find_all(examined.connection)
    told = [finding for run in found for finding in _run(run)]
    yield from told
    if not told:
        yield ok("runs", f"{len(found)} runs, none of them is stalled")


def _run(run: Run) -> Iterator[Finding]:
    subject = f"run {run.namespace}/{run.name}"
    stalled = run.conditions.get(ConditionType.STALLED, {})
    if stalled.get("status") == "True":
        stage = run.stage.get("name")
        at = f" in stage {stage}" if stage else ""
        message = str(stalled.get("message") or "no message")
        yield problem(
            subject,
            f"stalled{at} ({stalled.get('reason')}): {message}",
            f"remove the cause, then: {program()} retry {run.name} -n {run.namespace}",
        )
    age = run.age_seconds(datetime.now(UTC)) or 0.0
    if not run.is_seen and age > _UNSEEN_SECONDS:
        yield problem(
            subject,
            "no operator has seen it",
            "see operator above; does its setting `namespaces` leave this one out?",
        )
