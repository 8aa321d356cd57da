"""`uncensor logs` and `report --download` on real pods."""

import json
import threading

import pytest

from cluster.boxes import await_true
from cluster.images import TOOLS

pytestmark = pytest.mark.cluster

PROGRESS = json.dumps(
    {"event": "progress", "stage": "train", "step": 5, "total": 10, "loss": 1.5, "eta_seconds": 60}
)
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


def a_stage_pod(name: str, script: str, stage: str, attempt: int = 1, **spec):
    """A pod as the operator's children have it: labels, and what Pod Security wants."""
    labels = {
        "uncensor.dev/run": "my-run",
        "uncensor.dev/stage": stage,
        "uncensor.dev/attempt": str(attempt),
    }
    container = {
        "name": "main",
        "image": TOOLS,
        "command": ["sh", "-c", script],
        "securityContext": RESTRICTED,
        **spec.pop("container", {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            **spec,
        },
    }


@pytest.fixture
def namespace(run_namespace):
    """Stages live in namespaces that enforce Pod Security `restricted`, with a volume."""
    return run_namespace


@pytest.fixture
def pods(namespace):
    """Create pods and wait for a phase."""

    def create(*manifests, phase="Succeeded"):
        for manifest in manifests:
            namespace.api.create(namespace.path("pods"), manifest)
        for manifest in manifests:
            path = f"{namespace.path('pods')}/{manifest['metadata']['name']}"
            await_true(
                f"{path} to be {phase}",
                90,
                lambda path=path: namespace.api.get(path)["status"]["phase"] == phase,
            )

    return create


def test_progress_is_readable_and_raw_on_request(runs, pods, command):
    runs.recorded("running")
    pods(a_stage_pod("my-run-train-1", f"echo begun; echo '{PROGRESS}'", "train"))
    assert command("logs", "my-run").stdout.splitlines() == [
        "begun",
        "train: 5/10  loss 1.5000  ETA 1 min 0 s",
    ]
    assert command("logs", "my-run", "--raw").stdout.splitlines() == ["begun", PROGRESS]


def test_stage_and_attempt_choose_pods_and_several_are_told_apart(runs, pods, command):
    runs.recorded("running")
    pods(
        a_stage_pod("my-run-fetch-1", "echo fetched", "fetch"),
        a_stage_pod("my-run-train-1-master-0", "echo first", "train"),
    )
    pods(
        a_stage_pod("my-run-train-2-master-0", "echo rank 0", "train", 2),
        a_stage_pod("my-run-train-2-worker-0", "echo rank 1", "train", 2),
    )
    assert command("logs", "my-run").stdout.splitlines() == [
        "my-run-train-2-master-0 | rank 0",
        "my-run-train-2-worker-0 | rank 1",
    ]
    assert command("logs", "my-run", "--stage", "fetch").stdout == "fetched\n"
    earlier = command("logs", "my-run", "--stage", "train", "--attempt", "1")
    assert earlier.stdout == "first\n"


def test_following_ends_with_the_stage_and_misses_no_line(runs, pods, command):
    runs.recorded("running")
    script = "for n in 1 2 3 4 5 6; do echo line $n; sleep 0.5; done"
    pods(a_stage_pod("my-run-train-1", script, "train"), phase="Running")

    def end() -> None:
        stages = runs.get()["status"]["stages"]
        for stage in stages:
            if stage["name"] == "train":
                stage["state"] = "Succeeded"
        runs.write_status("my-run", {"stages": stages})

    # The operator would write this once the pod has ended; sooner makes the command prove that it
    # reads a pod to its last line.
    timer = threading.Timer(1.0, end)
    timer.start()
    done = command("logs", "my-run", "-f", "--stage", "train")
    timer.join()
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"line {number}" for number in range(1, 7)]


def test_a_pod_that_waits_says_for_what(runs, namespace, command):
    runs.recorded("queued")
    nowhere = a_stage_pod("my-run-fetch-1", "true", "fetch", nodeSelector={"no": "such-node"})
    namespace.api.create(namespace.path("pods"), nowhere)
    path = f"{namespace.path('pods')}/my-run-fetch-1"
    await_true(
        "The scheduler's verdict", 30, lambda: namespace.api.get(path)["status"]["conditions"]
    )
    done = command("logs", "my-run")
    assert done.stdout == ""
    assert "my-run-fetch-1 has not begun: Unschedulable" in done.stderr


def test_a_stage_without_pods_is_told_with_its_attempts(runs, command):
    runs.recorded("running")
    done = command("logs", "my-run", "--stage", "probe")
    assert done.returncode == 1
    assert "There is no pod of stage probe of my-run" in done.stderr
    assert "train Running after 1" in done.stderr
    assert "its stages: fetch, filter" in command("logs", "my-run", "--stage", "trian").stderr


PAGE = "<!doctype html>\n" + "<p>Ünïcode <b>filtered</b></p>\n" * 3000


@pytest.fixture
def folder(namespace):
    """The folder of the run on its volume, which is bound to a claim."""
    workspace = namespace.volume("my-run")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "my-run-workspace"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    namespace.api.create(namespace.path("persistentvolumeclaims"), claim)
    folder = workspace / "runs" / "my-run"
    (folder / "report").mkdir(parents=True)
    return folder


def test_the_page_comes_whole_without_exec_and_leaves_no_pod(
    runs, pods, command, *, folder, namespace, tmp_path
):
    runs.recorded("succeeded")
    pods(a_stage_pod("my-run-report-1", "echo reported", "report"))
    (folder / "report" / "index.html").write_text(PAGE)
    done = command("report", "my-run", "--download", "page.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "page.html").read_text() == PAGE
    left = [
        pod["metadata"]["name"]
        for pod in namespace.api.items(namespace.path("pods"))
        if "deletionTimestamp" not in pod["metadata"]
    ]
    assert left == ["my-run-report-1"]


def test_a_page_that_is_not_there_leaves_no_file_and_says_how_to_look(
    runs, pods, command, folder, tmp_path
):
    runs.recorded("succeeded")
    pods(a_stage_pod("my-run-report-1", "echo reported", "report"))
    done = command("report", "my-run", "--download", "page.html")
    assert done.returncode == 1
    assert "runs/my-run/report/index.html could not be read" in done.stderr
    assert "kubectl exec" in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_without_a_pod_of_the_run_the_commands_by_hand_are_printed(runs, command):
    runs.recorded("succeeded")
    done = command("report", "my-run", "--download", "page.html")
    assert done.returncode == 1
    assert "No pod or Job of my-run is left" in done.stderr
    assert "kubectl run read-" in done.stderr
