"""What a run needs beside its children: claim, run file, network policies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from uncensor_operator.api.v1alpha1 import Spec
from uncensor_operator.names import Label, Reason, StageName
from uncensor_operator.plan.naming import claim_name, labels, owner, policy_name, run_file_name
from uncensor_operator.plan.placement import TRAINING, Obstacle
from uncensor_operator.plan.world import Claim, WarningEvent
from uncensor_operator.settings import Settings
from uncensor_trainer.runfile import RunFile

# Reasons of events about a claim that nothing but a person's change ends.
_CANNOT_BIND = frozenset({"FailedBinding", "ProvisioningFailed"})
_SHARED_MODES = frozenset({"ReadWriteMany"})
# A provisioner may say no once and yes the next time.
_BINDING_PATIENCE = 15.0


def claim(manifest: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """Return the workspace's claim; it outlives the run unless `retain` is false."""
    metadata, wanted = manifest["metadata"], spec.workspace
    body: dict[str, Any] = {
        "accessModes": [wanted.access_mode],
        "resources": {"requests": {"storage": wanted.size}},
    }
    if wanted.storage_class_name:
        body["storageClassName"] = wanted.storage_class_name
    about: dict[str, Any] = {
        "name": claim_name(metadata["name"]),
        "namespace": metadata["namespace"],
        "labels": labels(metadata["name"], {}),
    }
    if not wanted.retain:
        about["ownerReferences"] = [owner(manifest)]
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": about, "spec": body}


def claim_obstacle(
    spec: Spec, found: Claim | None, warnings: tuple[WarningEvent, ...], now: datetime
) -> Obstacle | None:
    """Return why the workspace cannot be used; None while it is fine, or may still become so."""
    if found is None:
        return _missing(spec)
    if found.deleting:
        return Obstacle(
            Reason.WORKSPACE_FAILURE,
            f"The claim {found.name} is being deleted. Create a new run once it is gone.",
        )
    if found.phase == "Lost":
        return Obstacle(
            Reason.WORKSPACE_FAILURE,
            f"The claim {found.name} has lost its volume. Restore the volume under its old name, "
            "or create a new run.",
        )
    if spec.compute.nodes > 1 and not _SHARED_MODES & set(found.access_modes):
        return Obstacle(
            Reason.WORKSPACE_FAILURE,
            f"The claim {found.name} can be mounted as {', '.join(found.access_modes)}, but "
            f"compute.nodes is {spec.compute.nodes} and every node writes to it. Use a claim with "
            "ReadWriteMany, or one node.",
        )
    return _unbound(found, warnings, now)


def _missing(spec: Spec) -> Obstacle | None:
    name = spec.workspace.existing_claim
    if name is None:
        return None  # it is created in this very pass
    return Obstacle(
        Reason.WORKSPACE_FAILURE,
        f"workspace.existingClaim is {name!r}, but the namespace has no such claim. Create it, or "
        "take the field out of a new run to have one made.",
    )


def _unbound(found: Claim, warnings: tuple[WarningEvent, ...], now: datetime) -> Obstacle | None:
    if found.phase == "Bound":
        return None
    about = f"PersistentVolumeClaim/{found.name}"
    said = [one for one in warnings if one.about == about and one.reason in _CANNOT_BIND]
    waited = (now - found.created).total_seconds() if found.created else 0.0
    if not said or waited < _BINDING_PATIENCE:
        return None
    return Obstacle(
        Reason.WORKSPACE_FAILURE,
        f"The claim {found.name} finds no volume: {said[-1].message.rstrip('.')}. Choose a storage "
        "class that offers this size and access mode (`uncensor doctor` lists them), or have a "
        "volume made; the run goes on by itself then.",
    )


def run_file(manifest: Mapping[str, Any], run: RunFile) -> dict[str, Any]:
    """Return the ConfigMap with run.json: named by its content, and never changed.

    A running attempt keeps the settings that it began with, whatever happens to the spec.
    """
    text = run.model_dump_json(indent=1)
    metadata = manifest["metadata"]
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": run_file_name(metadata["name"], digest),
            "namespace": metadata["namespace"],
            "labels": labels(metadata["name"], {}),
            "ownerReferences": [owner(manifest)],
        },
        "immutable": True,
        "data": {"run.json": text},
    }


def policies(
    manifest: Mapping[str, Any], settings: Settings, run_file: RunFile
) -> list[dict[str, Any]]:
    """Return the run's NetworkPolicies: pods reach each other and names; fetch reaches sources.

    So do trainings whose metrics go to a server.
    """
    if not settings.security.network_policies:
        return []
    run = manifest["metadata"]["name"]
    own = {"podSelector": {"matchLabels": {Label.RUN.value: run}}}
    dns = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
    blocked = list(settings.security.blocked_addresses)
    everywhere = [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": [one for one in blocked if ":" not in one]}},
        {"ipBlock": {"cidr": "::/0", "except": [one for one in blocked if ":" in one]}},
    ]
    outward = [StageName.FETCH, *(sorted(TRAINING) if run_file.reporting.needs_network else ())]
    return [
        _policy(
            manifest,
            policy_name(run),
            {Label.RUN.value: run},
            {
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [own]}],
                "egress": [{"to": [own]}, dns],
            },
        ),
        *(
            _policy(
                manifest,
                policy_name(run, stage),
                {Label.RUN.value: run, Label.STAGE.value: stage.value},
                {"policyTypes": ["Egress"], "egress": [{"to": everywhere}]},
            )
            for stage in outward
        ),
    ]


def _policy(
    manifest: Mapping[str, Any], name: str, selected: Mapping[str, str], body: Mapping[str, Any]
) -> dict[str, Any]:
    metadata = manifest["metadata"]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": labels(metadata["name"], {}),
            "ownerReferences": [owner(manifest)],
        },
        "spec": {"podSelector": {"matchLabels": dict(selected)}, **body},
    }
