"""Pytest fixtures on a real cluster; other folders' conftest files import them from here.

UNCENSOR_CLUSTER=1 lets the tests run on a cluster of their own; any other value names one that
runs (`make cluster-up` calls its own `dev`) and goes on running. Without it, they are skipped.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from cluster import checkout, lifecycle, product, programs
from cluster.boxes import await_true
from cluster.clusters import Cluster, Shape
from cluster.errors import ClusterError
from cluster.spaces import Namespace
from cluster.volumes import RunNamespace, run_namespace_of

SHAPE = Shape(nodes=2, kwok=True)
LIVING: dict[str, Cluster] = {}
"""The session's cluster, by name."""


def reason_to_skip() -> str | None:
    """Why no cluster test can run here, in one line."""
    if not os.environ.get("UNCENSOR_CLUSTER"):
        return "UNCENSOR_CLUSTER is not set: tests on a real cluster are left out"
    if reason := lifecycle.obstacle():
        return reason
    if missing := programs.missing():
        return f"not built yet: {', '.join(missing)}; run `make cluster-prepare` (once, minutes)"
    return None


def require_cluster() -> None:
    """Skip the test, or fail in CI, where no cluster can run."""
    if reason := reason_to_skip():
        leave_out(reason)


def leave_out(reason: str) -> NoReturn:
    """Skip a test that lacks something; in CI, or with UNCENSOR_REQUIRE_CLUSTER=1, it fails."""
    in_ci = os.environ.get("CI") == "true"
    if os.environ.get("UNCENSOR_REQUIRE_CLUSTER", "1" if in_ci else "0") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def say(line: str) -> None:
    sys.stderr.write(f"cluster: {line}\n")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster with two real nodes and kwok; it ends with the session, even one that is killed."""
    require_cluster()
    wanted = os.environ["UNCENSOR_CLUSTER"]
    own = wanted == "1"
    # A name of its own: two sessions on one machine do not meet.
    name = f"pytest-{os.getpid()}" if own else wanted
    if name in LIVING:  # a conftest that imports this fixture has another one
        yield LIVING[name]
        return
    try:
        # Nodes that start with the product's images share their files; later, each imports them.
        more = checkout.product(say) if own and wants_product(request.session) else ()
        living = lifecycle.up(name, SHAPE if own else None, say, [*more])
    except ClusterError as error:
        pytest.fail(str(error), pytrace=False)
    LIVING[name] = living
    yield living
    del LIVING[name]
    living.end()
    if own and not list(living.place.folder.glob("failures/*")):
        shutil.rmtree(living.place.folder)


def wants_product(session: pytest.Session) -> bool:
    """Whether any test of the session uses the images of this checkout."""
    return any("product_images" in getattr(item, "fixturenames", ()) for item in session.items)


@pytest.fixture(scope="session")
def product_images(cluster: Cluster) -> checkout.ProductImages:
    """The images of this checkout, on every node."""
    try:
        made = checkout.product(say)
        for image in made:
            cluster.have(image)
    except ClusterError as error:
        pytest.fail(str(error), pytrace=False)
    return made


@pytest.fixture(scope="module")
def installed(
    cluster: Cluster, product_images: checkout.ProductImages
) -> Iterator[product.Installation]:
    """The operator, installed from this checkout's chart and available."""
    with product.installation(cluster, product_images) as made:
        yield made


@pytest.fixture
def run_namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[RunNamespace]:
    """A namespace that enforces restricted pods; `volume("my-run")` lets my-run-workspace bind."""
    with run_namespace_of(cluster, slug(request.node.name)) as space:
        yield space


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-")


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """An empty namespace; it is deleted after the test, without waiting for its end."""
    name = f"{slug(request.node.name)}-{secrets.token_hex(3)}"
    about = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.api.create("/api/v1/namespaces", about)
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    await_true(f"The service account of {name}", 60, lambda: lifecycle.exists(cluster.api, account))
    yield Namespace(name, cluster)
    cluster.api.delete(f"/api/v1/namespaces/{name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs a cluster last: it takes a share of the machine as long as it lives."""
    items.sort(key=lambda item: item.get_closest_marker("cluster") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show what the cluster knows about a failed test, and keep the whole of it in a folder."""
    report = yield
    used = getattr(item, "funcargs", {})
    space = next((one for one in used.values() if isinstance(one, Namespace)), None)
    living = used.get("cluster") or (space.cluster if space else None)
    if report.failed and report.when == "call" and isinstance(living, Cluster):
        report.sections.append(("cluster", evidence(living, space, item.name)))
    return report


def evidence(living: Cluster, space: Namespace | None, test: str) -> str:
    """Collect logs, objects and events; a short text for people that says where they are."""
    folder = living.place.folder / "failures" / re.sub(r"\W+", "-", test)
    folder.mkdir(parents=True, exist_ok=True)
    for log in living.place.logs.glob("*.log"):
        (folder / log.name).write_bytes(log.read_bytes())
    text = f"logs and objects are in {folder}\n"
    if isinstance(space, Namespace):
        for name, words in QUESTIONS.items():
            (folder / f"{name}.txt").write_text(asked(space, words))
        for pod in asked(space, ("get", "pods", "-o", "name")).splitlines():
            logs = asked(space, ("logs", "--all-containers", "--prefix", pod))
            (folder / f"{pod.removeprefix('pod/')}.pod.log").write_text(logs)
        text += "".join((folder / f"{name}.txt").read_text() for name in ("pods", "events"))
    return text


QUESTIONS = {
    "pods": ("get", "pods", "-o", "wide"),
    "events": ("events",),
    "describe": ("describe", "all"),
    "objects": ("get", "all,pytorchjobs,configmaps,pvc,networkpolicies", "-o", "yaml"),
    "runs": ("get", "uncensortrainings", "-o", "yaml"),
}


def asked(space: Namespace, words: tuple[str, ...]) -> str:
    """kubectl's answer, or its complaint: a failed question must not hide the failed test."""
    try:
        return space.kubectl(*words)
    except ClusterError as error:
        return f"{error}\n"
