"""Everything that one look at the cluster shows about a run: the input of the plan.

Whoever gathers it (`cluster.observe`) talks to the API server; the plan only reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from uncensor_operator.api.v1alpha1 import Status, UncensorTraining
from uncensor_operator.names import Annotation, Label
from uncensor_operator.plan.placement import Obstacle
from uncensor_operator.plan.pods import Pod, pod_of
from uncensor_operator.plan.times import read_time

JOB = "Job"
PYTORCHJOB = "PyTorchJob"


@dataclass(frozen=True, slots=True)
class Child:
    """A Job or PyTorchJob of this run: one attempt of a stage.

    Attributes:
        digest: of what decided the stage's output when the attempt was created.
        suspended: somebody else (Kueue) holds it back.
        deleting: its deletion was asked for.
        succeeded, failed: as its controller says, or for a Job its pod; both false while it works.
        said: the controller's sentence about a failure.
        ended_at: when its controller ended it.
        pods: of this child, dead ones included.
    """

    kind: str
    name: str
    uid: str
    stage: str
    attempt: int
    digest: str
    created: datetime
    suspended: bool = False
    deleting: bool = False
    succeeded: bool = False
    failed: bool = False
    said: str = ""
    ended_at: datetime | None = None
    pods: tuple[Pod, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether its controller has ended it."""
        return self.succeeded or self.failed

    @property
    def speaker(self) -> Pod | None:
        """The pod whose log and last word count; the newest, should there be several."""
        found = [pod for pod in self.pods if pod.speaks]
        return max(found, key=lambda pod: pod.created, default=None)


@dataclass(frozen=True, slots=True)
class Claim:
    """The workspace's PersistentVolumeClaim.

    Attributes:
        phase: Pending, Bound or Lost.
        owned: the run owns it, so that it goes away with the run.
        ours: it was created for this run, not named by the user.
    """

    name: str
    phase: str
    access_modes: tuple[str, ...] = ()
    capacity: str = ""
    owned: bool = False
    ours: bool = True
    deleting: bool = False
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class LiveProgress:
    """What the log of the working pod says, newest values first.

    Attributes:
        pod: uid of the pod that wrote it.
        step: units done; optimizer steps in training.
        seen_at: when the step last changed, else when the pod began to run.
        checkpoint: newest committed checkpoint's step.
        checkpoint_at: when it was committed.
    """

    pod: str
    step: int | None = None
    total: int | None = None
    loss: float | None = None
    epoch: float | None = None
    tokens_per_second: float | None = None
    mfu: float | None = None
    eta_seconds: float | None = None
    seen_at: datetime | None = None
    checkpoint: int | None = None
    checkpoint_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WarningEvent:
    """An event of type Warning about an object of this run."""

    about: str
    """Kind and name of the object, as Kind/name."""
    reason: str
    message: str
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class World:
    """One look at everything that belongs to a run.

    Attributes:
        manifest: the run's object as the API server has it.
        training: the same, read strictly; None when this release cannot read it.
        problem: why it cannot, as a sentence.
        children: attempts that this run owns, oldest first.
        strangers: names of living pods that carry the run's label, but belong to no child of it:
            of a deleted run of the same name, or of a child that is gone.
        claim: the workspace's; None when there is none.
        config_maps, policies: names of those that exist.
        progress: by name of the child.
        warnings: recent events about claim, children and pods.
        absent_nodes: nodes of pods that are not ready or do not exist.
        refused: why the API server would not carry out what this pass wants; None before it is
            asked. Such a pass only writes down what it has learnt.
    """

    now: datetime
    manifest: Mapping[str, Any]
    training: UncensorTraining | None
    status: Status
    problem: str = ""
    children: tuple[Child, ...] = ()
    strangers: tuple[Pod, ...] = ()
    claim: Claim | None = None
    config_maps: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    progress: Mapping[str, LiveProgress] = field(default_factory=dict)
    warnings: tuple[WarningEvent, ...] = ()
    absent_nodes: frozenset[str] = frozenset()
    refused: Obstacle | None = None

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the run."""
        return str(self.manifest["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """Identity of the run; another one of the same name has another."""
        return str(self.manifest["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """Number of changes of the spec."""
        return int(self.manifest["metadata"].get("generation", 1))


def child_of(raw: Mapping[str, Any], pods: tuple[Mapping[str, Any], ...]) -> Child:
    """Return what the plan needs of a Job's or PyTorchJob's object.

    Raises:
        KeyError, ValueError: somebody took our labels away.
    """
    metadata, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    labels = metadata["labels"]
    kind = raw["kind"]
    done, failed = ("Complete", "Failed") if kind == JOB else ("Succeeded", "Failed")
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    policy = spec if kind == JOB else spec.get("runPolicy", {})
    failure = conditions.get(failed, {})
    end = failure if _is_true(failure) else conditions.get(done, {})
    seen = tuple(pod_of(pod) for pod in pods)
    # The one pod of a Job is its end; the Job's own controller says so up to a second later.
    done_well = kind == JOB and any(pod.phase == "Succeeded" for pod in seen)
    return Child(
        kind=kind,
        name=metadata["name"],
        uid=metadata["uid"],
        stage=labels[Label.STAGE],
        attempt=int(labels[Label.ATTEMPT]),
        digest=metadata.get("annotations", {}).get(Annotation.INPUT_DIGEST, ""),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        suspended=bool(policy.get("suspend")),
        deleting="deletionTimestamp" in metadata,
        succeeded=_is_true(conditions.get(done)) or done_well,
        failed=_is_true(failure),
        said=str(failure.get("message", "")),
        ended_at=read_time(end.get("lastTransitionTime")) if _is_true(end) else None,
        pods=seen,
    )


def claim_of(raw: Mapping[str, Any], owner: str, *, ours: bool) -> Claim:
    """Return what the plan needs of a claim's object; `owner` is the uid of the run."""
    metadata, status = raw["metadata"], raw.get("status", {})
    owners = metadata.get("ownerReferences", ())
    return Claim(
        name=metadata["name"],
        phase=status.get("phase", "Pending"),
        # What was asked for: a volume that could do more is mounted as the claim says.
        access_modes=tuple(raw["spec"].get("accessModes", ())),
        capacity=status.get("capacity", {}).get("storage", ""),
        owned=any(one.get("uid") == owner for one in owners),
        ours=ours,
        deleting="deletionTimestamp" in metadata,
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
    )


def _is_true(condition: Mapping[str, Any] | None) -> bool:
    return condition is not None and condition.get("status") == "True"
