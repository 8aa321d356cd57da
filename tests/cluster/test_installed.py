"""The operator runs where users run it: in a pod of its own image, installed by its own chart."""

from __future__ import annotations

import pytest

from cluster.boxes import await_true
from cluster.product import NAMESPACE, RELEASE, Installation

pytestmark = pytest.mark.cluster


def restarts(installed: Installation) -> int:
    return sum(
        status["restartCount"]
        for pod in installed.pods()
        for status in pod["status"].get("containerStatuses", [])
    )


def leads(installed: Installation) -> str | None:
    """The pod that holds the Lease; its identity is the pod's name and something of the process."""
    holder = installed.leader() or ""
    names = [pod["metadata"]["name"] for pod in installed.pods()]
    return next((name for name in names if holder.startswith(name)), None)


def test_it_answers_through_its_service(installed: Installation) -> None:
    await_true("The leader", 60, lambda: leads(installed) is not None)

    assert installed.read("/healthz").strip() == "ok"
    assert installed.read("/readyz").strip() == "ok"
    assert "# TYPE uncensor_" in installed.read("/metrics")


def test_its_pod_may_run_where_restricted_is_enforced(installed: Installation) -> None:
    space = installed.api.get(f"/api/v1/namespaces/{NAMESPACE}")
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(installed.pods()) == 1


def test_killed_it_comes_back(installed: Installation) -> None:
    before = restarts(installed)

    assert installed.kill() >= 1

    await_true("The restart", 120, lambda: restarts(installed) == before + 1)
    installed.await_available()
    await_true("The leader", 60, lambda: leads(installed) is not None)


def test_a_second_one_takes_over(installed: Installation) -> None:
    installed.install({"replicas": 2})
    await_true("The leader", 60, lambda: leads(installed) is not None)
    first = leads(installed)

    installed.kubectl("delete", "pod", str(first), "--wait=false")

    await_true("Another leader", 60, lambda: leads(installed) not in {None, first})
    installed.install({"replicas": 1})


def test_settings_that_the_operator_refuses_replace_nothing(installed: Installation) -> None:
    (before,) = installed.pods()
    values = {"settings": {"defaultPool": "no-such"}}

    with pytest.raises(Exception, match="no-such"):
        installed.install(values, patience=30)

    assert before["metadata"]["uid"] in {pod["metadata"]["uid"] for pod in installed.pods()}
    assert installed.read("/readyz").strip() == "ok"
    installed.install({"settings": {"defaultPool": "cpu"}})
    assert RELEASE in installed.helm("list")
