"""The child of an attempt: a Job for a stage, a PyTorchJob for a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uncensor_operator.api.v1alpha1 import Spec
from uncensor_operator.names import Annotation, StageName
from uncensor_operator.plan.naming import child_name, labels, owner
from uncensor_operator.plan.placement import TRAINING, stage_room, training_room
from uncensor_operator.plan.podspec import (
    RUN_FILE,
    Recipe,
    pod_spec,
    reporting_tokens,
    tokens_of,
)
from uncensor_operator.plan.world import JOB, PYTORCHJOB
from uncensor_operator.release import release
from uncensor_operator.settings import Pool, Settings

# Of a pod's grace period torchrun keeps these for itself: to kill what has not ended by then, and
# to end with a code of its own, before the kubelet's SIGKILL takes both away.
SECONDS_FOR_TORCHRUN = 10

API_VERSIONS = {JOB: "batch/v1", PYTORCHJOB: "kubeflow.org/v1"}


@dataclass(frozen=True, slots=True)
class Order:
    """One attempt that is wanted.

    Attributes:
        manifest: the run's object.
        digest: of everything that decides the stage's output.
        run_file: name of the ConfigMap with run.json.
        claim: name of the workspace's claim.
    """

    manifest: Mapping[str, Any]
    spec: Spec
    stage: StageName
    attempt: int
    digest: str
    run_file: str
    claim: str
    pool: Pool
    settings: Settings


def kind_of(stage: StageName) -> str:
    """Return the kind of a stage's child."""
    return PYTORCHJOB if stage in TRAINING else JOB


def child(order: Order) -> dict[str, Any]:
    """Return the Job or PyTorchJob of an attempt."""
    return _pytorchjob(order) if order.stage in TRAINING else _job(order)


def _job(order: Order) -> dict[str, Any]:
    spec = order.spec
    room = stage_room(order.stage, spec, order.pool, order.settings)
    command = ("uncensor-trainer", "--run-file", RUN_FILE, "--stage", order.stage.value)
    fetches = order.stage is StageName.FETCH
    recipe = Recipe(
        stage=order.stage,
        run_file=order.run_file,
        claim=order.claim,
        pool=order.pool,
        room=room,
        on_pool=room.gpus > 0,
        command=command,
        environment=_fetching(order.settings) if fetches else {},
        tokens=tokens_of(spec) if fetches else {},
        grace_seconds=30,
    )
    template = _template(order, recipe)
    template["spec"]["restartPolicy"] = "Never"
    # Retries are ours: one pod, whose end is the Job's end.
    return {
        **_head(order, JOB),
        "spec": {"backoffLimit": 0, "completions": 1, "parallelism": 1, "template": template},
    }


def _pytorchjob(order: Order) -> dict[str, Any]:
    spec, compute = order.spec, order.spec.compute
    run_policy = spec.run_policy
    grace_seconds = run_policy.termination_grace_period_seconds
    launched = (
        *("torchrun", "--max-restarts=0", "-m", "uncensor_trainer"),
        *("--run-file", RUN_FILE, "--stage", order.stage.value),
    )
    recipe = Recipe(
        stage=order.stage,
        run_file=order.run_file,
        claim=order.claim,
        pool=order.pool,
        room=training_room(spec, order.pool),
        on_pool=True,
        command=launched,
        environment={
            "UNCENSOR_ATTEMPT": str(order.attempt),
            "UNCENSOR_STALL_TIMEOUT_SECONDS": str(run_policy.stall_timeout_seconds),
            # torchrun would kill the processes 30 s after the stop, before they have saved.
            "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(grace_seconds - SECONDS_FOR_TORCHRUN),
            **order.pool.environment,
        },
        tokens=reporting_tokens(spec),
        grace_seconds=grace_seconds,
    )
    replica = {"restartPolicy": "Never", "template": _template(order, recipe)}
    replicas = {"Master": {"replicas": 1, **replica}}
    if compute.nodes > 1:
        replicas["Worker"] = {"replicas": compute.nodes - 1, **replica}
    return {
        **_head(order, PYTORCHJOB),
        "spec": {
            "nprocPerNode": str(max(1, compute.gpus_per_node)),
            # The operator owns retries and deadlines; pods that still run at a failure must go.
            "runPolicy": {"cleanPodPolicy": "Running"},
            "pytorchReplicaSpecs": replicas,
        },
    }


def _head(order: Order, kind: str) -> dict[str, Any]:
    metadata = order.manifest["metadata"]
    return {
        "apiVersion": API_VERSIONS[kind],
        "kind": kind,
        "metadata": {
            "name": child_name(metadata["name"], order.stage.value, order.attempt),
            "namespace": metadata["namespace"],
            "labels": _labels(order),
            "annotations": {
                Annotation.INPUT_DIGEST.value: order.digest,
                Annotation.OPERATOR_VERSION.value: release(),
            },
            "ownerReferences": [owner(order.manifest)],
        },
    }


def _labels(order: Order) -> dict[str, str]:
    metadata = order.manifest["metadata"]
    given = metadata.get("labels", {})
    return labels(metadata["name"], given, order.stage.value, order.attempt)


def _template(order: Order, recipe: Recipe) -> dict[str, Any]:
    kept = {key: text for key, text in _labels(order).items() if not key.startswith("kueue.")}
    return {"metadata": {"labels": kept}, "spec": pod_spec(recipe, order.settings)}


def _fetching(settings: Settings) -> dict[str, str]:
    endpoint = settings.fetching.hub_endpoint
    return {**settings.fetching.environment, **({"HF_ENDPOINT": endpoint} if endpoint else {})}
