"""The test cluster is found again, tells why a test failed, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import cgroups, keeper, lifecycle
from cluster.boxes import await_true
from cluster.clusters import Cluster, Shape
from cluster.errors import ClusterError
from cluster.fixtures import Namespace, require_cluster, say
from cluster.places import HERE, Place
from cluster.pods import a_pod, await_phase

pytestmark = pytest.mark.cluster


def test_a_second_up_finds_the_running_cluster(cluster: Cluster) -> None:
    before = cluster.box.programs()

    again = lifecycle.up(cluster.place.name, cluster.shape, say)

    assert again.server == cluster.server
    assert again.box.programs() == before
    again.end()
    assert cluster.api.answers()


def test_a_second_up_with_another_shape_is_refused(cluster: Cluster) -> None:
    other = Shape(nodes=cluster.shape.nodes + 1)

    with pytest.raises(ClusterError, match="make cluster-down"):
        lifecycle.up(cluster.place.name, other, say)


@pytest.fixture
def gone() -> Iterator[Place]:
    """The place of a cluster that a test starts and ends by itself."""
    require_cluster()
    place = Place(f"gone-{os.getpid()}")
    yield place
    lifecycle.down(place.name)
    shutil.rmtree(place.folder)


def test_down_leaves_nothing_and_can_be_run_twice(gone: Place) -> None:
    called(gone, "up", "--nodes", "1")
    cluster = lifecycle.up(gone.name, Shape(nodes=1), say)
    cluster.api.create("/api/v1/namespaces/default/pods", a_pod("busy", "sleep 600"))
    await_phase(Namespace("default", cluster), "busy", "Running")
    assert "node-a.kubelet" in called(gone, "status")
    assert traces(gone)

    assert "is down" in called(gone, "down")

    assert traces(gone) == []
    assert "no cluster" in called(gone, "down")
    assert "no cluster" in called(gone, "status", code=3)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="interrupted"),
        pytest.param(signal.SIGKILL, id="killed"),
    ],
)
def test_an_up_that_ends_early_leaves_nothing(gone: Place, number: signal.Signals) -> None:
    with cluster_command(gone, "up") as process:
        await_true("A started API server", 120, (gone.logs / "kube-apiserver.log").exists)
        process.send_signal(number)
        process.communicate()

    keeper.await_end(gone)

    assert traces(gone) == []
    assert process.returncode != 0


def test_the_box_dies_with_a_killed_keeper_and_down_sweeps_up(gone: Place) -> None:
    called(gone, "up", "--control-plane-only")
    os.kill(int(gone.keeper.read_text()), signal.SIGKILL)

    called(gone, "down")

    await_true("The end of the box", 30, lambda: traces(gone) == [])


FAILING = """
import json

def test_bad(namespace):
    pod = json.loads(POD)
    namespace.api.create(namespace.path("pods"), pod)
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/culprit")
    assert not pod
"""


def test_a_failed_test_shows_its_pods_and_keeps_its_logs(
    namespace: Namespace, tmp_path: Path
) -> None:
    imported = "from cluster.fixtures import cluster, namespace, pytest_runtest_makereport\n"
    (tmp_path / "conftest.py").write_text(imported)
    pod = json.dumps(a_pod("culprit", "echo it was me; exit 1"))
    (tmp_path / "test_bad.py").write_text(f"POD = {pod!r}\n{FAILING}")

    said = pytest_in(tmp_path, namespace.cluster.place.name)

    kept = namespace.cluster.place.folder / "failures" / "test_bad"
    assert "1 failed" in said
    assert "culprit" in said
    assert str(kept) in said
    assert "it was me" in (kept / "culprit.pod.log").read_text()
    assert (kept / "kube-apiserver.log").stat().st_size
    assert namespace.api.answers()
    shutil.rmtree(kept)


def test_without_leave_tests_are_skipped_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from cluster.fixtures import cluster\n")
    (tmp_path / "test_any.py").write_text("def test_any(cluster): ...\n")

    said = pytest_in(tmp_path, "")

    assert "1 skipped" in said
    assert "UNCENSOR_CLUSTER is not set" in said


def pytest_in(folder: Path, cluster: str) -> str:
    """What a pytest of its own says about the tests in `folder`; a missing cluster is a skip."""
    env = {name: value for name, value in os.environ.items() if name not in REQUIRING}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", folder],
        cwd=folder,
        env=env | {"PYTHONPATH": str(HERE.parent), "UNCENSOR_CLUSTER": cluster},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


REQUIRING = ("CI", "UNCENSOR_REQUIRE_CLUSTER")


def cluster_command(place: Place, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cluster", "--name", place.name, *words],
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def called(place: Place, *words: str, code: int = 0) -> str:
    """What the command said."""
    with cluster_command(place, *words) as process:
        said, _ = process.communicate()
    assert process.returncode == code, said
    return said


def traces(place: Place) -> list[str]:
    """What of a cluster is still on this machine, beyond its logs.

    A process of the box shows by what is mounted where it lives, and a mount or network namespace
    exists by its processes alone.
    """
    found = [f"cgroup {group}" for group in cgroups.left(place.cgroup)]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "mountinfo").read_text() + (process / "cmdline").read_text()
        except OSError:  # it ended meanwhile
            continue
        if f"{place.folder}/" in seen:
            found.append(f"process {process.name}: {(process / 'cmdline').read_text()}")
    allowed = {place.lock, place.logs, place.folder / "failures"}
    found += [f"file {path}" for path in place.folder.iterdir() if path not in allowed]
    found += [f"interface {name}" for name in os.listdir("/sys/class/net") if name == "cni0"]
    return found
