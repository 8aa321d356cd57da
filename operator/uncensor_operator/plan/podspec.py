"""The pod of a stage: restricted, without a token of Kubernetes, the run file mounted read-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from uncensor_operator.api.v1alpha1 import SecretKeyRef, Source, Spec
from uncensor_operator.names import StageName
from uncensor_operator.plan.placement import Room, placement, resources
from uncensor_operator.plan.pods import CONTAINER
from uncensor_operator.settings import Pool, Settings

WORKSPACE = "/workspace"
RUN_FILE_FOLDER = "/etc/uncensor"
RUN_FILE = f"{RUN_FILE_FOLDER}/run.json"
TOKEN_FOLDER = "/var/run/secrets/uncensor"  # noqa: S105 - a path
TERMINATION_MESSAGE = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a pod of one attempt is made from.

    Attributes:
        run_file: name of the ConfigMap with run.json.
        claim: name of the workspace's claim.
        on_pool: whether it runs on the pool's own nodes.
        command: argument list of the container.
        environment: variables besides the common ones.
        tokens: Secret keys mounted as files, by file name.
    """

    stage: StageName
    run_file: str
    claim: str
    pool: Pool
    room: Room
    on_pool: bool
    command: tuple[str, ...]
    environment: Mapping[str, str]
    tokens: Mapping[str, SecretKeyRef]
    grace_seconds: int


def pod_spec(recipe: Recipe, settings: Settings) -> dict[str, Any]:
    """Return the spec of a stage's pod; it satisfies Pod Security `restricted`."""
    image = (recipe.on_pool and recipe.pool.image) or settings.trainer_image
    volumes, mounts = _volumes(recipe)
    container = {
        "name": CONTAINER,
        "image": image.reference,
        "imagePullPolicy": image.pull_policy,
        "command": list(recipe.command),
        "env": _environment(recipe),
        "resources": resources(recipe.room, recipe.pool),
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": TERMINATION_MESSAGE,
        # Without a last word of the trainer, the end of its log says what happened.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": recipe.grace_seconds,
        "securityContext": _identity(settings),
        "imagePullSecrets": [{"name": name} for name in image.pull_secrets],
        "containers": [container],
        "volumes": volumes,
        **placement(recipe.pool, settings, on_pool=recipe.on_pool),
    }


def tokens_of(spec: Spec) -> dict[str, SecretKeyRef]:
    """Return the access tokens that fetch needs, by the name of the file that holds each.

    The trainer looks for `<owner>--<name>` of a repository in the folder of tokens.
    """
    found = {}
    for source in _sources(spec):
        hub = source.hugging_face
        if hub is not None and hub.token_secret_ref is not None:
            found[hub.repo.replace("/", "--")] = hub.token_secret_ref
    return found


def reporting_tokens(spec: Spec) -> dict[str, SecretKeyRef]:
    """Return the tokens of the places that metrics go to, by the place's name."""
    asked = spec.reporting
    places = (
        {name: getattr(asked, name) for name in ("wandb", "trackio", "mlflow")} if asked else {}
    )
    return {
        name: place.token_secret_ref
        for name, place in places.items()
        if place is not None and place.token_secret_ref is not None
    }


def _sources(spec: Spec) -> Iterator[Source]:
    yield spec.model
    yield from spec.datasets
    yield spec.probe.input
    yield spec.evaluation.refusal.prompts
    yield spec.evaluation.perplexity.answers
    if spec.evaluation.baseline is not None:
        yield spec.evaluation.baseline


def _identity(settings: Settings) -> dict[str, Any]:
    user, group = settings.security.user, settings.security.group
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": group,
        "fsGroup": group,
        # Without it, a 2 TB volume would be walked through before every start.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _environment(recipe: Recipe) -> list[dict[str, str]]:
    variables = {
        "HOME": "/tmp",  # noqa: S108 - the pod's own emptyDir
        "UNCENSOR_TERMINATION_MESSAGE": TERMINATION_MESSAGE,
        "UNCENSOR_DIARY": "1",
        "PYTHONUNBUFFERED": "1",
        # Threads that wait by spinning stand still for seconds when anything else runs.
        "OMP_WAIT_POLICY": "PASSIVE",
        **({} if recipe.room.gpus else {"DS_ACCELERATOR": "cpu"}),
        **recipe.environment,
    }
    if recipe.tokens:
        variables["UNCENSOR_TOKEN_FOLDER"] = TOKEN_FOLDER
    return [{"name": name, "value": value} for name, value in sorted(variables.items())]


def _volumes(recipe: Recipe) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    memory = {"medium": "Memory", "sizeLimit": str(recipe.room.shared_memory)}
    volumes: list[dict[str, Any]] = [
        {"name": "workspace", "persistentVolumeClaim": {"claimName": recipe.claim}},
        {"name": "run-file", "configMap": {"name": recipe.run_file}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shared-memory", "emptyDir": memory},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "workspace", "mountPath": WORKSPACE},
        {"name": "run-file", "mountPath": RUN_FILE_FOLDER, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
        {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - likewise
    ]
    if recipe.tokens:
        volumes.append({"name": "tokens", "projected": _projected(recipe.tokens)})
        mounts.append({"name": "tokens", "mountPath": TOKEN_FOLDER, "readOnly": True})
    return volumes, mounts


def _projected(tokens: Mapping[str, SecretKeyRef]) -> dict[str, Any]:
    sources = [
        {"secret": {"name": ref.name, "items": [{"key": ref.key, "path": file}]}}
        for file, ref in sorted(tokens.items())
    ]
    return {"sources": sources, "defaultMode": 0o440}
