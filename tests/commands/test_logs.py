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
    await_true("The scheduler's verdict", 30, lambda: namespace.api.get(path)["status"]["conditions"])
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


PAGE = "<!doctype html>\n<title>Ünïcode</title>" + "<p>filtered</p>" * 20_000


@pytest.fixture
def claim(namespace, tmp_path_factory):
    """A volume of the first node, with a claim, in a namespace that enforces `restricted`."""
    name = f"{namespace.name}-volume"
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace.api.request(
        "PATCH",
        f"/api/v1/namespaces/{namespace.name}",
        {"metadata": {"labels": label}},
        kind="application/merge-patch+json",
    )
    room = {"storage": "1Gi"}
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": room,
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "hostPath": {"path": f"/var/{name}", "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
        },
    }
    namespace.api.create("/api/v1/persistentvolumes", volume)
    about = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "my-run-workspace"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": name,
            "resources": {"requests": room},
        },
    }
    namespace.api.create(namespace.path("persistentvolumeclaims"), about)
    yield "my-run-workspace"
    namespace.api.delete(f"/api/v1/persistentvolumes/{name}")
