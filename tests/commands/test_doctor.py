"""`uncensor doctor` on a real cluster: what it finds, and that each problem says what to do."""

from __future__ import annotations

import json

import pytest
import yaml

from cluster.boxes import await_true
from cluster.images import TOOLS
from support.command import uncensor

pytestmark = pytest.mark.cluster

SETTINGS = {
    "trainerImage": {"reference": "trainer:1"},
    "pools": [
        {"name": "cpu", "profile": "cpu"},
        {
            "name": "fake-gpus",
            "resource": "nvidia.com/gpu",
            "gpus": 4,
            "nodeLabels": {"type": ["kwok"]},
            "tolerations": [{"key": "kwok.x-k8s.io/node"}],
        },
        {"name": "nowhere", "resource": "nvidia.com/gpu", "gpus": 1, "nodeLabels": {"no": ["x"]}},
    ],
}


@pytest.fixture
def findings(command, namespace):
    """The findings about an operator in the test's own namespace, by subject."""

    def ask(*arguments, wanted_code=None):
        done = command("doctor", "--json", "--operator-namespace", namespace.name, *arguments)
        assert done.stderr == ""
        found = json.loads(done.stdout)
        if wanted_code is not None:
            assert done.returncode == wanted_code
        assert all(one["remedy"] for one in found if one["level"] != "ok")
        return {one["subject"]: one for one in found}

    return ask


def an_operator(namespace, settings=SETTINGS):
    """A Deployment that looks like the chart's, with settings, and runs nothing but a pause."""
    about = {"name": "uncensor-operator"}
    labels = {"app.kubernetes.io/name": "uncensor-operator"}
    text = settings if isinstance(settings, str) else yaml.safe_dump(settings)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about}
    data = {"settings.yaml": text}
    namespace.api.create(namespace.path("configmaps"), {**config, "data": data})
    container = {
        "name": "operator",
        "image": TOOLS,
        "command": ["sleep", "3600"],
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/uncensor-operator"}],
    }
    pod = {
        "containers": [container],
        "volumes": [{"name": "settings", "configMap": about}],
        "terminationGracePeriodSeconds": 0,
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**about, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    namespace.api.create(namespace.path("deployments", "apps/v1"), deployment)
    path = f"{namespace.path('deployments', 'apps/v1')}/uncensor-operator"
    await_true(
        "The Deployment",
        90,
        lambda: namespace.api.get(path).get("status", {}).get("availableReplicas"),
    )


def test_a_cluster_in_order(runs, findings, namespace, cluster):
    cluster.add_fake_nodes(2)
    an_operator(namespace)
    found = findings()
    levels = {subject: one["level"] for subject, one in found.items()}
    assert (
        levels.items()
        >= {
            "API server": "ok",
            "CRD": "ok",
            "training-operator": "ok",
            "operator": "ok",
            "settings": "ok",
            "pool cpu": "ok",
            "pool fake-gpus": "ok",
            "pool nowhere": "warning",
            "rights": "ok",
            "Pod Security": "ok",
            "runs": "ok",
        }.items()
    )
    assert "8 of 8 GPUs free on 2 nodes" in found["pool fake-gpus"]["found"]
    assert "no node has the labels no=x" in found["pool nowhere"]["found"]


def test_what_is_missing_is_a_problem_with_its_remedy(runs, findings):
    found = findings(wanted_code=1)
    assert found["operator"]["level"] == "problem"
    assert "helm install" in found["operator"]["remedy"]


def test_settings_that_cannot_be_read_are_named(runs, findings, namespace):
    an_operator(namespace, "trainerImage: {reference: x}\npools: []\n")
    found = findings(wanted_code=1)["settings"]
    assert found["level"] == "problem"
    assert "pools" in found["found"]


def test_a_stalled_run_is_explained(runs, findings, namespace):
    runs.recorded("stalled")
    found = findings(wanted_code=1)[f"run {namespace.name}/my-run"]
    assert "stalled in stage train (BackoffLimitExceeded)" in found["found"]
    assert "Look at its log, then retry." in found["found"]
    assert f"retry my-run -n {namespace.name}" in found["remedy"]


def test_restricted_namespaces_need_another_init_container(runs, findings, namespace):
    namespace.kubectl(
        "label", "namespace", namespace.name, "pod-security.kubernetes.io/enforce=restricted"
    )
    found = findings()["Pod Security"]
    # The test cluster's training-operator is no Deployment, so its template cannot be seen.
    assert found["level"] == "warning"
    assert "pytorch-init-container-template-file" in found["remedy"]


def test_missing_rights_are_told_one_by_one(runs, cluster, namespace, tmp_path):
    path = cluster.account_kubeconfig(namespace.name, "default", tmp_path / "poor.kubeconfig")
    done = uncensor("doctor", "-n", namespace.name, "--kubeconfig", path, cwd=tmp_path)
    assert done.returncode == 1
    assert "problem  rights: you may not patch uncensortrainings in namespace" in done.stdout
    assert "warning  rights: you may not get pods/log" in done.stdout
    assert "could not be checked" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
