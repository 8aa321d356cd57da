"""Volumes that all pods of a run can write to at once."""

from __future__ import annotations

from collections.abc import Iterator

from uncensor_operator.cli.cluster.connection import Object
from uncensor_operator.cli.cluster.doctor.findings import (
    FORBIDDEN,
    Examined,
    Finding,
    ok,
    problem,
    warning,
)
from uncensor_operator.errors import ClusterError

_CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
_VOLUMES = "/api/v1/persistentvolumes"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_SHARED = "ReadWriteMany"

# By the documentation of each driver: its file systems are shared between nodes ...
_SHARING = (
    "file.csi.azure.com",
    "azurelustre.csi.azure.com",
    "efs.csi.aws.com",
    "fsx.csi.aws.com",
    "filestore.csi.storage.gke.io",
    "lustre.csi.storage.gke.io",
    "cephfs.csi.ceph.com",
    "nfs.csi.k8s.io",
    "csi.juicefs.com",
    "beegfs.csi.netapp.com",
)
# ... or its volumes are disks, which one node at a time mounts.
_DISKS = (
    "disk.csi.azure.com",
    "ebs.csi.aws.com",
    "pd.csi.storage.gke.io",
    "rancher.io/local-path",
    "rbd.csi.ceph.com",
    "topolvm.io",
)


def storage(examined: Examined) -> Iterator[Finding]:
    """Check that there is a storage class, and tell what can be told about ReadWriteMany."""
    classes = examined.listed(_CLASSES)
    volumes = _volumes(examined)
    if not classes:
        yield _without_class(volumes)
        return
    default = [one for one in classes if _is_default(one)]
    listed = ", ".join(f"{_name(one)} ({one.get('provisioner')})" for one in classes)
    if default:
        yield ok("storage", f"default class {_name(default[0])}; classes: {listed}")
    else:
        yield warning(
            "storage",
            f"no default class; classes: {listed}",
            "name one in workspace.storageClassName of each run, or mark one as default",
        )
    yield _sharing(classes, volumes)


def _volumes(examined: Examined) -> list[Object]:
    """Few users may list volumes; classes alone tell most."""
    try:
        return examined.listed(_VOLUMES)
    except ClusterError as error:
        if error.code != FORBIDDEN:
            raise
        return []


def _without_class(volumes: list[Object]) -> Finding:
    free = [
        one
        for one in volumes
        if (one.get("status") or {}).get("phase") == "Available"
        and _SHARED in one["spec"].get("accessModes", [])
    ]
    if free:
        return ok("storage", f"no storage class, but {len(free)} free volumes with {_SHARED}")
    return problem(
        "storage",
        f"no storage class, and no free volume with {_SHARED}: claims of runs will not be bound",
        "install a driver for shared file systems (NFS, CephFS, EFS, Azure Files, Filestore ...), "
        "or give runs an existingClaim",
    )


def _sharing(classes: list[Object], volumes: list[Object]) -> Finding:
    proven = {
        str(one["spec"].get("storageClassName"))
        for one in volumes
        if _SHARED in one["spec"].get("accessModes", [])
        and (one.get("status") or {}).get("phase") == "Bound"
    }
    shared = [one for one in classes if _name(one) in proven or _is_of(one, _SHARING)]
    if shared:
        names = ", ".join(
            f"{_name(one)} ({'in use so' if _name(one) in proven else 'by its driver'})"
            for one in shared
        )
        return ok(_SHARED, f"offered by {names}")
    if all(_is_of(one, _DISKS) for one in classes):
        return warning(
            _SHARED,
            "every class makes disks, which one node at a time mounts",
            "runs on one node: workspace.accessMode: ReadWriteOnce. Several nodes need a class "
            "of a shared file system, or an existingClaim",
        )
    unsure = ", ".join(_name(one) for one in classes if not _is_of(one, _DISKS))
    return warning(
        _SHARED,
        f"cannot be known: a class does not say which access modes its driver has ({unsure})",
        "look into the driver's documentation, or create a claim with ReadWriteMany and see "
        "whether it is bound",
    )


def _name(storage_class: Object) -> str:
    return str(storage_class["metadata"]["name"])


def _is_default(storage_class: Object) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return annotations.get(_DEFAULT) == "true"


def _is_of(storage_class: Object, drivers: tuple[str, ...]) -> bool:
    # Rook puts its own namespace before the driver: rook-ceph.cephfs.csi.ceph.com.
    provisioner = str(storage_class.get("provisioner", ""))
    return any(provisioner == one or provisioner.endswith(f".{one}") for one in drivers)
