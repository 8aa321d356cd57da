"""Every word that more than one place must spell alike: group, kind, keys, conditions, stages.

Users see most of them (labels, condition types, reasons), so a change here is a change of the API.
"""

from __future__ import annotations

from enum import StrEnum

# The API group, and the prefix of every label and annotation of ours.
GROUP = "uncensor.dev"
# The only served and stored version.
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "UncensorTraining"
LIST_KIND = f"{KIND}List"
SINGULAR = "uncensortraining"
# The REST path: /apis/uncensor.dev/v1alpha1/namespaces/*/uncensortrainings.
PLURAL = "uncensortrainings"
# `kubectl get ut`.
SHORT_NAMES = ("ut",)
# `kubectl get ml-training` lists these beside the kinds of other training operators.
CATEGORIES = ("uncensor", "ml-training")
CRD_NAME = f"{PLURAL}.{GROUP}"

# Server-side apply and events name us so.
FIELD_MANAGER = "uncensor-operator"

# A child is `<run>-<stage>-<attempt>`, and training pods append `-worker-<n>` to that; the whole
# must stay a DNS label of 63 characters.
MAX_RUN_NAME_LENGTH = 48


class Label(StrEnum):
    """Labels on children, for selectors."""

    # The UncensorTraining that a child belongs to.
    RUN = f"{GROUP}/run"
    # The stage that a child runs.
    STAGE = f"{GROUP}/stage"
    # The number of the try, from 1.
    ATTEMPT = f"{GROUP}/attempt"
    # The alignment layer that a child trains.
    LAYER = f"{GROUP}/layer"
    # Written by Kubernetes tools of all kinds; ours is the field manager.
    MANAGED_BY = "app.kubernetes.io/managed-by"
    # The product; always "uncensor-operator".
    NAME = "app.kubernetes.io/name"
    # The run again, under the key that dashboards group by.
    INSTANCE = "app.kubernetes.io/instance"
    # The stage again, likewise.
    COMPONENT = "app.kubernetes.io/component"
    # Kueue's queue; copied from the run to every child.
    QUEUE = "kueue.x-k8s.io/queue-name"


class Annotation(StrEnum):
    """Annotations on runs and children."""

    # Digest of everything that decides a stage's output; a child with another one is stale.
    INPUT_DIGEST = f"{GROUP}/input-digest"
    # Set by `uncensor retry`: a new value starts a stalled run again.
    RETRY = f"{GROUP}/retry"
    # Release of the operator that created a child.
    OPERATOR_VERSION = f"{GROUP}/operator-version"


# Kept while something outside the cluster must still be cleaned up.
FINALIZER = f"{GROUP}/cleanup"


class StageName(StrEnum):
    """The stages in the order in which a run passes through them."""

    # Models and data sets come to the workspace, pinned and checked.
    FETCH = "fetch"
    # Rows whose answer refuses or moralises are dropped, stripped or marked.
    FILTER = "filter"
    # Rows become tokens, masks and an index, so that no GPU waits for a tokenizer.
    PREPARE = "prepare"
    # The model learns from the filtered rows.
    TRAIN = "train"
    # The same model learns from the unfiltered rows: the arm to compare with.
    TRAIN_CONTROL = "train-control"
    # The owner's alignment layers are trained on top.
    ALIGN = "align"
    # The models answer a fixed list of instructions, for people to read.
    PROBE = "probe"
    # Refusal rates, perplexity and benchmarks, with intervals.
    EVALUATE = "evaluate"
    # The model is uploaded, verified, then made visible.
    PUBLISH = "publish"
    # One HTML file tells the whole story.
    REPORT = "report"


class StageState(StrEnum):
    """What a stage does, in `status.stages` and in a local run."""

    # Its inputs are not there yet.
    PENDING = "Pending"
    # Its child waits for a node, a quota or a queue.
    QUEUED = "Queued"
    # It works.
    RUNNING = "Running"
    # Its output is complete.
    SUCCEEDED = "Succeeded"
    # Its output was there already, made from the same inputs.
    SKIPPED = "Skipped"
    # Told to stop; what was done is saved.
    STOPPED = "Stopped"
    # It ended without an output.
    FAILED = "Failed"


class ConditionType(StrEnum):
    """Types of `status.conditions`; the first three follow kstatus, which Flux and Argo CD read."""

    # The run is done and its results stand.
    READY = "Ready"
    # The operator works towards the spec.
    RECONCILING = "Reconciling"
    # Nothing will happen without a person.
    STALLED = "Stalled"
    # Unknown while working, then True or False for good; `kubectl wait` uses it.
    SUCCEEDED = "Succeeded"
    # Stopped by spec.suspend, with the state saved.
    SUSPENDED = "Suspended"
    # The volume is bound and has room.
    WORKSPACE_READY = "WorkspaceReady"
    # Fetched, filtered and prepared.
    DATASET_READY = "DatasetReady"
    # Every arm has its final model.
    TRAINED = "Trained"
    # Refusal rates and benchmarks are there.
    EVALUATED = "Evaluated"
    # Every target of spec.publish holds the model.
    PUBLISHED = "Published"


class ConditionStatus(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Reasons of conditions and events; a message beside it names cause and remedy."""

    # The object was seen, nothing has begun.
    PENDING = "Pending"
    # A stage's child waits for a node, a quota or a queue.
    QUEUED = "Queued"
    # A stage works.
    RUNNING = "StageRunning"
    # A stage has finished.
    STAGE_DONE = "StageDone"
    # A stage's output was there already, with the same inputs.
    STAGE_SKIPPED = "StageSkipped"
    # Everything that the spec asks for is there.
    COMPLETED = "Completed"
    # spec.suspend is true; children are stopped, state is saved.
    SUSPENDED = "Suspended"
    # A failed attempt is followed by another one after a wait.
    RETRYING = "Retrying"
    # A pod was preempted, drained or lost with its node; the attempt does not count.
    EVICTED = "Evicted"
    # Told to stop, saved, and stopped.
    STOPPED = "Stopped"
    # The spec or the data is at fault; another try cannot help.
    INVALID_INPUT = "InvalidInput"
    # The spec asks for a stage that this version does not have.
    NOT_SUPPORTED = "NotSupported"
    # A repository, bucket or URL did not answer.
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    # The volume is full, read-only or not bound.
    WORKSPACE_FAILURE = "WorkspaceFailure"
    # An image could not be pulled or a container not be started in time.
    START_FAILED = "StartFailed"
    # A pod was killed for memory twice.
    OUT_OF_MEMORY = "OutOfMemory"
    # Loss or gradients are not finite numbers, after the roll-backs that are allowed.
    NUMERIC_FAILURE = "NumericFailure"
    # Several attempts in a row saved no new checkpoint.
    NO_PROGRESS = "NoProgress"
    # The heartbeat is older than runPolicy.stallTimeoutSeconds.
    HANGING = "Hanging"
    # runPolicy.backoffLimit attempts have failed.
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    # More interruptions than runPolicy.maxInfrastructureRestarts.
    RESTARTS_EXHAUSTED = "RestartsExhausted"
    # runPolicy.activeDeadlineSeconds have passed.
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    # A gate of spec.evaluation.gates is not met, so nothing is published.
    GATE_NOT_MET = "GateNotMet"
    # A fault of the operator itself; its log has the trace.
    CONTROLLER_ERROR = "ControllerError"
    # compute.pool names no pool of the administrator's settings.
    UNKNOWN_POOL = "UnknownPool"
    # A Secret that the spec refers to is not there, or lacks the key.
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a word, no secret
    # The namespace's quota, or a policy of the cluster, refuses an object.
    QUOTA_EXCEEDED = "QuotaExceeded"
    # The API server or an admission webhook refuses a child.
    REFUSED = "Refused"
    # The estimate does not fit the memory of a GPU, or of the pod.
    DOES_NOT_FIT = "DoesNotFit"
    # A process of a training was killed or failed; the whole attempt is repeated.
    ATTEMPT_FAILED = "AttemptFailed"
    # A pod was killed for memory; the next attempt takes half the micro-batch.
    HALVED_BATCH = "HalvedMicroBatch"
    # spec.suspend is true; pods are saving their state.
    SUSPENDING = "Suspending"
    # The run was deleted and made again; pods of the old one still end.
    WAITING_FOR_OLD_PODS = "WaitingForOldPods"
    # A person asked for another try with the retry annotation.
    RETRY_REQUESTED = "RetryRequested"
