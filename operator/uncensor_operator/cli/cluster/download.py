"""Brings the report from a run's volume: a short-lived pod reads it and writes it into its log.

The user needs no exec rights in stage pods, only to create a pod in the namespace and to read its
log. The pod is as restricted as a stage's, mounts the claim read-only, and is deleted at the end.
Its log carries the file in base64 and, before it, the SHA-256 of what was read: a log that the
kubelet rotated or cut is noticed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import shlex
import time
from pathlib import Path

from uncensor_operator.cli.cluster.connection import Connection, Object
from uncensor_operator.cli.cluster.pods import Pod, find_pods
from uncensor_operator.cli.cluster.runs import Run
from uncensor_operator.errors import ClusterError, UncensorError
from uncensor_operator.names import Label

_MOUNT = "/workspace"
_PATIENCE_SECONDS = 120
_LOOK_SECONDS = 1.0
_NAME_LENGTH = 63
_SCRIPT = 'sha256sum < "$0" && base64 "$0"'
_NOT_FOUND = 404
# Stands in for a pod of the run, where none is left: the user that the settings give by default.
_UNKNOWN: Object = {
    "spec": {
        "containers": [{"image": "IMAGE"}],
        "securityContext": {"runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532},
    }
}


def page_of(run: Run) -> str:
    """Return the path of the page below the root of the volume."""
    folder = str((run.status.get("workspace") or {}).get("folder") or f"runs/{run.name}")
    return f"{folder.strip('/')}/report/index.html"


def download(connection: Connection, run: Run, target: Path) -> int:
    """Write the page of a run to a file and return its size in bytes.

    Raises:
        UncensorError: nothing tells how to read the volume, the pod fails, or the log is not
            whole; no file is written then.
    """
    if not target.absolute().parent.is_dir():
        raise UncensorError(f"{target.parent} is no folder; nothing was fetched.")
    body = reader_pod(run, _template(connection, run))
    pods = f"/api/v1/namespaces/{run.namespace}/pods"
    try:
        made = connection.create(pods, body)
    except ClusterError as error:
        raise ClusterError(f"{error} {by_hand(run, body)}", error.code) from error
    path = f"{pods}/{made['metadata']['name']}"
    try:
        _await_end(connection, path, body, run)
        content = decoded(connection.text(f"{path}/log"))
    except UncensorError as error:
        raise UncensorError(f"{error} {by_hand(run, body)}") from error
    finally:
        _remove(connection, path)
    target.write_bytes(content)
    return len(content)


def reader_pod(run: Run, template: Object) -> Object:
    """Return the pod: image, identity and pull secrets of a stage's pod, and nothing else of it."""
    claim = (run.status.get("workspace") or {}).get("claim")
    if not claim:
        raise UncensorError(f"The status of {run.name} names no claim, so there is no volume.")
    spec = template["spec"]
    container = spec["containers"][0]
    identity = {
        key: value
        for key, value in (spec.get("securityContext") or {}).items()
        if key in ("runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy")
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{run.name}-read-"[: _NAME_LENGTH - 6],
            # Without the label of the run: the operator must not take it for a child.
            "labels": {Label.NAME: "uncensor-cli", Label.MANAGED_BY: "uncensor-cli"},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _PATIENCE_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                **identity,
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **{
                key: spec[key]
                for key in ("imagePullSecrets", "nodeSelector", "tolerations", "priorityClassName")
                if spec.get(key)
            },
            "containers": [_reader(container, page_of(run))],
            "volumes": [
                {
                    "name": "workspace",
                    "persistentVolumeClaim": {"claimName": claim, "readOnly": True},
                }
            ],
        },
    }


def _reader(container: Object, page: str) -> Object:
    room = {"cpu": "100m", "memory": "64Mi"}
    return {
        "name": "read",
        "image": container["image"],
        "imagePullPolicy": container.get("imagePullPolicy", "IfNotPresent"),
        "command": ["sh", "-c", _SCRIPT, f"{_MOUNT}/{page}"],
        "resources": {"requests": room, "limits": room},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "workspace", "mountPath": _MOUNT, "readOnly": True}],
    }


def _template(connection: Connection, run: Run) -> Object:
    """Return a pod of the run, or what a Job of it makes pods from.

    Raises:
        UncensorError: neither is left.
    """
    pods = find_pods(connection, run.name)
    if pods:
        return pods[-1].manifest
    path = f"/apis/batch/v1/namespaces/{run.namespace}/jobs"
    jobs = connection.items(path, labelSelector=f"{Label.RUN}={run.name}")
    if jobs:
        template: Object = jobs[-1]["spec"]["template"]
        return template
    raise UncensorError(
        f"No pod or Job of {run.name} is left, so the image and the user that can read its volume "
        f"are not known. {by_hand(run, None)}"
    )


def _await_end(connection: Connection, path: str, body: Object, run: Run) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        pod = Pod(connection.get(path))
        phase = (pod.manifest.get("status") or {}).get("phase")
        if phase == "Succeeded":
            return
        if phase == "Failed":
            said = connection.text(f"{path}/log", tailLines=5).strip()
            raise UncensorError(f"The page {page_of(run)} could not be read: {said or phase}.")
        time.sleep(_LOOK_SECONDS)
    raise UncensorError(
        f"The pod that reads the page did not end within {_PATIENCE_SECONDS} s: {pod.why_waiting}."
    )


def decoded(log: str) -> bytes:
    """Return the file that a reader's log carries.

    Raises:
        UncensorError: the log is not whole.
    """
    first, _, rest = log.partition("\n")
    try:
        content = base64.b64decode("".join(rest.split()), validate=True)
    except binascii.Error:
        content = b""
    if not first or hashlib.sha256(content).hexdigest() != first.split()[0]:
        raise UncensorError(
            "The page did not come whole through the log (the kubelet cuts logs at about 10 MiB)."
        )
    return content


def _remove(connection: Connection, path: str) -> None:
    try:
        connection.delete(path)
    except ClusterError as error:
        if error.code != _NOT_FOUND:
            raise


def by_hand(run: Run, body: Object | None) -> str:
    """Return the commands that bring the page without this program."""
    pod = body or reader_pod(run, _UNKNOWN)
    name = f"read-{secrets.token_hex(3)}"
    reader = pod["spec"]["containers"][0]
    container = {**reader, "name": name, "command": ["sleep", str(_PATIENCE_SECONDS)]}
    overrides = json.dumps({"spec": {**pod["spec"], "containers": [container]}})
    space = f"-n {run.namespace}"
    return "\n".join(
        [
            "By hand, with any image that has cat and sleep:",
            f"  kubectl run {name} {space} --image={reader['image']} --restart=Never "
            f"--overrides={shlex.quote(overrides)}",
            f"  kubectl exec {space} {name} -- cat {_MOUNT}/{page_of(run)} > report.html",
            f"  kubectl delete pod {space} {name}",
        ]
    )
