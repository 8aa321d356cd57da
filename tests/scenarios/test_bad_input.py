"""Bad input gets a sentence within half a minute, and never disturbs other runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.api import ApiError
from cluster.errors import ClusterError
from cluster.outside import Outside
from cluster.stunts import STUNT
from cluster.volumes import RunNamespace
from support.staging import Stage

pytestmark = pytest.mark.cluster

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
POLICIES = f"{ADMISSION}/validatingadmissionpolicies"
BINDINGS = f"{ADMISSION}/validatingadmissionpolicybindings"
WITH_TOKEN = {"huggingFace": {"repo": "a/b", "tokenSecretRef": {"name": "hf", "key": "token"}}}


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        pytest.param(
            {"compute": {"pool": "no-such"}}, "UnknownPool", ("cpu", "nowhere"), id="unknown pool"
        ),
        pytest.param(
            {"compute": {"pool": "gpus", "gpusPerNode": 8}},
            "UnknownPool",
            ("gpusPerNode", "4 GPUs"),
            id="more GPUs than a node has",
        ),
        pytest.param({"model": WITH_TOKEN}, "SecretMissing", ("hf", "Create it"), id="no Secret"),
        pytest.param(
            {"workspace": {"existingClaim": "mine"}},
            "WorkspaceFailure",
            ("mine", "Create it"),
            id="no claim",
        ),
        pytest.param(
            {"evaluation": {"benchmarks": ["mmlu"]}},
            "NotSupported",
            ("benchmarks", "mmlu"),
            id="what this release cannot do",
        ),
        pytest.param(
            {
                "training": {"globalBatchSize": 7, "microBatchSize": 7},
                "compute": {"pool": "cpu", "nodes": 2, "gpusPerNode": 0},
            },
            "InvalidInput",
            ("global batch of 7",),
            id="a batch that cannot be divided",
        ),
    ],
)
def test_bad_input_is_told_with_reason_and_remedy(
    run: Stage, spec: dict[str, Any], reason: str, words: tuple[str, ...]
) -> None:
    run.apply(spec)
    stalled = run.wait_for("Stalled", seconds=30)

    assert stalled["reason"] == reason
    assert [word for word in words if word not in stalled["message"]] == []
    assert run.condition("Ready")["status"] == "False"
    assert any(one["reason"] == reason and one["type"] == "Warning" for one in run.events())


def test_a_claim_that_finds_no_volume_is_told(
    run_namespace: RunNamespace, operator: Outside, tmp_path: Path
) -> None:
    run = Stage(run_namespace, tmp_path)
    run.apply({"workspace": {"storageClassName": "no-such-class"}})
    stalled = run.wait_for("Stalled", seconds=30)

    assert stalled["reason"] == "WorkspaceFailure"
    assert "no-such-class" in stalled["message"]


def test_a_claim_for_one_node_cannot_serve_two(run: Stage) -> None:
    run.space.volume_for("mine")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "mine"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    run.space.api.create(run.space.path("persistentvolumeclaims"), claim)
    run.apply(
        {
            "workspace": {"existingClaim": "mine"},
            "compute": {"pool": "cpu", "nodes": 2, "gpusPerNode": 0},
        }
    )
    stalled = run.wait_for("Stalled", seconds=30)
    assert "ReadWriteMany" in stalled["message"]


def test_quota_is_told_and_the_run_goes_on_once_there_is_some(run: Stage) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    run.space.api.create(run.space.path("resourcequotas"), quota)
    run.apply()
    stalled = run.wait_for("Stalled", seconds=30)
    assert stalled["reason"] == "QuotaExceeded"
    run.space.api.delete(f"{run.space.path('resourcequotas')}/none")

    run.wait_for("Succeeded", seconds=120)
    assert run.condition("Stalled")["status"] == "False"


def test_a_forbidden_image_is_told_and_the_run_goes_on_once_it_is_allowed(run: Stage) -> None:
    forbid_the_doubles_image(run)
    run.apply()
    stalled = run.wait_for("Stalled", seconds=30)
    assert stalled["reason"] == "Refused"
    assert "may not run here" in stalled["message"]
    run.space.api.delete(f"{BINDINGS}/{run.space.name}")

    # The Job's controller pauses longer after each refusal.
    run.wait_for("Succeeded", seconds=180)
    assert run.condition("Stalled")["status"] == "False"


def forbid_the_doubles_image(run: Stage) -> None:
    """Refuse pods of this namespace as an administrator's policy does, and wait until it works."""
    name, api = run.space.name, run.space.api
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    rule = {
        "expression": f"object.spec.containers.all(c, c.image != '{STUNT}')",
        "message": "this image may not run here",
    }
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{**pods, "resources": ["pods"]}]},
        "validations": [rule],
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    binding = {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": here},
    }
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    kind = "ValidatingAdmissionPolicy"
    api.create(POLICIES, {**head, "kind": kind, "spec": policy})
    api.create(BINDINGS, {**head, "kind": f"{kind}Binding", "spec": binding})
    run.wait("the policy", lambda: refuses_the_double(run), 30)


def refuses_the_double(run: Stage) -> bool:
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "asked"},
        "spec": a_restricted_pod(),
    }
    try:
        run.space.api.create(f"{run.space.path('pods')}?dryRun=All", body)
    except ApiError as error:
        return "may not run here" in str(error)
    return False


def a_restricted_pod() -> dict[str, Any]:
    container = {
        "name": "x",
        "image": STUNT,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {"restartPolicy": "Never", "containers": [container]}


def test_a_secret_that_comes_later_lets_the_run_go_on(run: Stage) -> None:
    run.apply({"model": WITH_TOKEN})
    run.wait_for("Stalled", seconds=30)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hf"},
        "stringData": {"token": "hf_canary0123456789"},
    }
    run.stunt("fetch", "cat /var/run/secrets/uncensor/a--b; exit 3\n")
    run.space.api.create(run.space.path("secrets"), secret)
    run.wait("a failure that shows the log", lambda: run.stage("fetch").get("failures", 0) > 0, 120)

    text = str(run.status) + str(run.events())
    assert "[redacted]" in text
    assert "hf_canary" not in text


def test_a_name_that_somebody_else_took_is_told(run: Stage) -> None:
    foreign = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "run-fetch-1"},
        "spec": {"suspend": True, "template": {"spec": a_pod()}},
    }
    run.space.api.create(run.space.path("jobs", "batch/v1"), foreign)
    run.apply()
    stalled = run.wait_for("Stalled", seconds=30)
    assert "does not belong to this run" in stalled["message"]
    run.space.kubectl("delete", "job", "run-fetch-1")

    run.wait_for("Succeeded", seconds=90)


def a_pod() -> dict[str, Any]:
    return {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}


def test_the_server_refuses_a_bad_manifest_with_a_sentence(run: Stage) -> None:
    with pytest.raises(ClusterError, match="exactly one of"):
        run.apply({"model": {"path": "a", "package": {"name": "b", "file": "b/c.gguf"}}})


def test_a_broken_run_does_not_disturb_another(run: Stage) -> None:
    run.apply({"compute": {"pool": "no-such"}})
    run.wait_for("Stalled", seconds=30)
    other = Stage(run.space, run.space.volume("other"), name="other")
    other.apply()

    other.wait_for("Succeeded", seconds=90)
    assert run.condition("Stalled")["status"] == "True"
