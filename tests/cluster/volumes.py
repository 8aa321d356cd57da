"""Namespaces as users have them: Pod Security `restricted` is enforced, and workspaces bind.

A test cluster has no storage of its own, so a claim binds to a volume that was made for it by
name: a folder of this machine. Both nodes are boxes on the same machine and see the same folder,
which makes it ReadWriteMany; nothing enforces the size of 2 Ti.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.api import Object
from cluster.boxes import await_true
from cluster.clusters import Cluster
from cluster.lifecycle import exists
from cluster.spaces import RESTRICTED, Namespace

CLASS = "uncensor-test"
USER = 65532
PROVISIONER = "kubernetes.io/no-provisioner"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
VOLUMES = "/api/v1/persistentvolumes"
BELONGS = "uncensor.test/namespace"


@dataclass(frozen=True, slots=True)
class RunNamespace(Namespace):
    """A namespace that enforces restricted pods, with volumes for the workspaces of its runs."""

    def volume(self, run: str, size: str = "2Ti") -> Path:
        """Let the claim `<run>-workspace` bind; the folder that is the workspace, as seen here."""
        return self.volume_for(f"{run}-workspace", size)

    def volume_for(self, claim: str, size: str = "2Ti") -> Path:
        folder = self.folder / claim
        folder.mkdir(parents=True)
        # hostPath volumes do not get fsGroup: whoever the pods run as must own the folder.
        os.chown(folder, USER, USER)
        name = f"{self.name}-{claim}"
        self.api.apply(f"{VOLUMES}/{name}", a_volume(name, folder, self.name, claim, size))
        return folder

    @property
    def folder(self) -> Path:
        """Where the volumes of this namespace are; not below /run or /var, which boxes hide."""
        return self.cluster.place.volumes / self.name


def a_volume(name: str, folder: Path, namespace: str, claim: str, size: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {BELONGS: namespace}},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            # No other claim may take it.
            "claimRef": {"namespace": namespace, "name": claim},
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }


def storage_class() -> Object:
    """The default class; it makes no volumes, so a claim waits for the one with its name."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "volumeBindingMode": "Immediate",
    }


@contextlib.contextmanager
def run_namespace_of(cluster: Cluster, slug: str) -> Iterator[RunNamespace]:
    """A namespace for runs; it and its volumes are deleted at the end, without waiting."""
    cluster.api.apply(f"{CLASSES}/{CLASS}", storage_class())
    name = f"{slug}-{secrets.token_hex(3)}"
    metadata = {"name": name, "labels": RESTRICTED}
    about = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    cluster.api.create("/api/v1/namespaces", about)
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    await_true(f"The service account of {name}", 60, lambda: exists(cluster.api, account))
    space = RunNamespace(name, cluster)
    try:
        yield space
    finally:
        cluster.api.delete(f"/api/v1/namespaces/{name}")
        cluster.kubectl("delete", "pv", "--selector", f"{BELONGS}={name}", "--wait=false")
        shutil.rmtree(space.folder, ignore_errors=True)
