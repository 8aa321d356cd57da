"""What the commands on a cluster make of objects and lines; no cluster is needed for that."""

import base64
import copy
import hashlib
import json

import pytest

from support.gitops import recorded
from uncensor_operator.api import crdgen
from uncensor_operator.cli.cluster.columns import columns
from uncensor_operator.cli.cluster.doctor.operators import _is_training_operator
from uncensor_operator.cli.cluster.doctor.pools import is_usable, matches, settings_claim
from uncensor_operator.cli.cluster.doctor.security import has_own_template
from uncensor_operator.cli.cluster.doctor.server import compared
from uncensor_operator.cli.cluster.download import by_hand, decoded, page_of, reader_pod
from uncensor_operator.cli.cluster.lines import readable
from uncensor_operator.cli.cluster.pods import Pod, newest_attempt
from uncensor_operator.cli.cluster.runs import Run
from uncensor_operator.errors import UncensorError
from uncensor_operator.settings import Pool


def test_each_recorded_state_has_its_word():
    assert {name: Run(manifest).state for name, manifest in recorded().items()} == {
        "created": "New",
        "queued": "Queued",
        "running": "Running",
        "edited": "Running",
        "suspended": "Suspended",
        "stalled": "Stalled",
        "retrying": "Retrying",
        "succeeded": "Succeeded",
        "deleting": "Deleting",
    }


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("plain words", "plain words"),
        ('{"a": 1}', '{"a": 1}'),
        ('{"event": broken', '{"event": broken'),
        (
            '{"event": "progress", "stage": "train", "step": 5, "total": 10, "loss": 1.5, '
            '"tokens_per_second": 99.6, "eta_seconds": 60}',
            "train: 5/10  loss 1.5000  100 tok/s  ETA 1 min 0 s",
        ),
        ('{"event": "note", "stage": "fetch", "message": "Fetching."}', "fetch: Fetching."),
        (
            '{"event": "checkpoint", "stage": "train", "step": 100}',
            "train: checkpoint  step 100",
        ),
    ],
)
def test_events_become_words_and_the_rest_stays(line, wanted):
    assert readable(line) == wanted


def test_columns_are_as_wide_as_their_widest_cell():
    assert columns(("A", "LONG", "M"), [("aaa", "b", "c d"), ("a", "", "")]) == [
        "A     LONG   M",
        "aaa   b      c d",
        "a",
    ]


def a_pod(name: str, stage: str, attempt: int, created: str) -> Pod:
    labels = {"uncensor.dev/stage": stage, "uncensor.dev/attempt": str(attempt)}
    metadata = {"name": name, "uid": name, "labels": labels, "creationTimestamp": created}
    return Pod({"metadata": metadata, "spec": {"containers": [{"name": "pytorch"}]}})


def test_the_attempt_begun_last_is_shown():
    pods = [
        a_pod("run-train-1-master-0", "train", 1, "2026-11-24T12:00:00Z"),
        a_pod("run-train-2-master-0", "train", 2, "2026-11-24T13:00:00Z"),
        a_pod("run-train-2-worker-0", "train", 2, "2026-11-24T13:00:00Z"),
    ]
    assert [pod.name for pod in newest_attempt(pods)] == [pods[1].name, pods[2].name]


def a_log(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"{digest}  -\n{base64.encodebytes(content).decode()}"


def test_a_whole_log_carries_the_page_byte_for_byte():
    content = bytes(range(256)) * 100
    assert decoded(a_log(content)) == content


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(a_log(b"x" * 1000)[:-20], id="cut"),
        pytest.param(a_log(b"x" * 1000)[70:], id="without its first line"),
        pytest.param("", id="empty"),
        pytest.param("sh: sha256sum: not found\n", id="an error"),
    ],
)
def test_a_log_that_is_not_whole_is_noticed(log):
    with pytest.raises(UncensorError, match="did not come whole"):
        decoded(log)


TEMPLATE = {
    "spec": {
        "containers": [
            {"name": "main", "image": "trainer:1", "env": [{"name": "TOKEN", "value": "x"}]}
        ],
        "securityContext": {"runAsUser": 7, "fsGroup": 8, "runAsNonRoot": True},
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "powerful",
        "volumes": [{"name": "secret", "secret": {"secretName": "hf"}}],
    }
}


def test_the_reader_takes_image_and_identity_of_a_stage_and_nothing_else():
    spec = reader_pod(Run(recorded()["succeeded"]), TEMPLATE)["spec"]
    (container,) = spec["containers"]
    assert container["image"] == "trainer:1"
    assert "env" not in container
    assert spec["securityContext"] == {
        "runAsUser": 7,
        "fsGroup": 8,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert "serviceAccountName" not in spec
    assert spec["automountServiceAccountToken"] is False
    assert spec["volumes"] == [
        {
            "name": "workspace",
            "persistentVolumeClaim": {"claimName": "my-run-workspace", "readOnly": True},
        }
    ]


def test_the_commands_by_hand_hold_a_pod_that_kubectl_can_read():
    text = by_hand(Run(recorded()["succeeded"]), None)
    overrides = text.split("--overrides=")[1].splitlines()[0].strip("'")
    pod = json.loads(overrides)["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "my-run-workspace"
    assert "cat /workspace/runs/my-run/report/index.html > report.html" in text


def test_the_page_lies_in_the_folder_that_the_status_names():
    manifest = copy.deepcopy(recorded()["succeeded"])
    manifest["status"]["workspace"]["folder"] = "/runs/ml/my-run/"
    assert page_of(Run(manifest)) == "runs/ml/my-run/report/index.html"


POOL = Pool.model_validate(
    {
        "name": "a100",
        "resource": "nvidia.com/gpu",
        "gpus": 4,
        "nodeLabels": {"type": ["a", "b"]},
        "tolerations": [{"key": "gpu", "effect": "NoSchedule"}],
    }
)


def a_node(taints=(), *, label="a", ready="True", unschedulable=False):
    return {
        "metadata": {"name": "n", "labels": {"type": label}},
        "spec": {"taints": list(taints), "unschedulable": unschedulable},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def test_a_node_belongs_to_a_pool_by_any_accepted_value():
    assert matches(POOL, a_node(label="b"))
    assert not matches(POOL, a_node(label="c"))


@pytest.mark.parametrize(
    ("node", "wanted"),
    [
        pytest.param(a_node(), True, id="open"),
        pytest.param(a_node([{"key": "gpu", "effect": "NoSchedule"}]), True, id="tolerated"),
        pytest.param(a_node([{"key": "gpu", "effect": "NoExecute"}]), False, id="another effect"),
        pytest.param(a_node([{"key": "x", "effect": "NoSchedule"}]), False, id="another taint"),
        pytest.param(a_node([{"key": "x", "effect": "PreferNoSchedule"}]), True, id="a soft taint"),
        pytest.param(a_node(ready="Unknown"), False, id="lost"),
        pytest.param(a_node(unschedulable=True), False, id="cordoned"),
    ],
)
def test_only_nodes_that_take_the_pods_count(node, wanted):
    assert is_usable(POOL, node) is wanted


def a_deployment(container=None, volumes=()):
    spec = {"containers": [container or {}], "volumes": list(volumes)}
    return {"metadata": {"name": "d"}, "spec": {"template": {"spec": spec}}}


@pytest.mark.parametrize(
    ("container", "wanted"),
    [
        ({}, False),
        ({"args": ["--pytorch-init-container-template-file=/x.yaml"]}, True),
        ({"volumeMounts": [{"name": "c", "mountPath": "/etc/config"}]}, True),
        ({"volumeMounts": [{"name": "c", "mountPath": "/etc/configuration"}]}, False),
    ],
)
def test_the_training_operators_template_is_found(container, wanted):
    assert has_own_template(a_deployment(container)) is wanted


def test_the_training_operator_is_known_by_its_image():
    image = "ghcr.io/kubeflow/training-v1/training-operator:v1.9.4"
    assert _is_training_operator(a_deployment({"image": image}))
    assert not _is_training_operator(a_deployment({"image": "nginx"}))


def test_the_settings_are_the_config_map_at_their_place():
    volumes = [
        {"name": "other", "configMap": {"name": "ca"}},
        {"name": "settings", "configMap": {"name": "uncensor-operator"}},
    ]
    mount = {"name": "settings", "mountPath": "/etc/uncensor-operator/"}
    deployment = a_deployment({"volumeMounts": [mount]}, volumes)
    assert settings_claim(deployment) == "uncensor-operator"


def test_the_crd_of_this_release_is_well():
    # What the real server makes of it is compared in tests/api and tests/commands.
    assert compared(crdgen.crd()).level == "ok"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda fields: fields.pop("suspend"), "lacks spec.suspend"),
        (
            lambda fields: fields.update(later={"type": "string"}),
            "has in addition spec.later",
        ),
        (
            lambda fields: fields["suspend"].update(description="Other words."),
            "the same fields with other bounds, rules, defaults or descriptions",
        ),
    ],
    ids=["an older one", "a newer one", "other words"],
)
def test_a_crd_of_another_release_is_told_by_its_fields(change, words):
    crd = copy.deepcopy(crdgen.crd())
    (version,) = crd["spec"]["versions"]
    change(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])
    found = compared(crd)
    assert found.level == "warning"
    assert words in found.found
    assert found.remedy


def test_a_crd_without_our_version_is_a_problem():
    crd = copy.deepcopy(crdgen.crd())
    crd["spec"]["versions"][0]["name"] = "v2"
    assert "v1alpha1 is not served; served: v2" in compared(crd).found
