"""What follows a failed attempt: a table of rules, of which the first that matches decides.

The order matters. What the cluster did comes first, because it says nothing about the run; then
what the trainer said; then what only counting can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from uncensor_operator.names import Reason
from uncensor_operator.plan.pods import Exit
from uncensor_trainer.exits import ExitCode

SIGKILL = 137
FREE_AT_ONCE = 3
"""Interruptions of a run that are followed by the next attempt without a wait."""
WORKSPACE_PATIENCE = 3
"""A full volume is not emptied in seconds: waits after it are so many times longer."""


class Verdict(StrEnum):
    """What happens next."""

    RETRY = "retry"
    GIVE_UP = "give up"


class Count(StrEnum):
    """Which budget an attempt is taken from."""

    FAILURE = "failure"
    INTERRUPTION = "interruption"


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of a run, and the waits of the administrator."""

    backoff_limit: int = 3
    max_interruptions: int = 50
    no_progress_limit: int = 3
    first_seconds: float = 10
    longest_seconds: float = 600


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that ended without an output, and what came before it.

    Attributes:
        exit: of the pod that tells why; None when no pod is left to ask.
        disrupted: why the cluster took a pod away; empty when it did not.
        cannot_start: why containers did not start in time; empty when they did.
        hanging: seconds without a step, when that is why the attempt was ended; else 0.
        said: the sentence of the Job's or PyTorchJob's controller.
        failures, fruitless: of this stage before this attempt.
        interruptions: of the whole run before this attempt.
        progressed: whether the attempt saved a checkpoint that is newer than its first step.
        saved: newest checkpoint that its log tells of; None when it tells of none.
        micro_batch: rows a process handles at once; 1 cannot be halved.
        halved: whether it was halved before.
    """

    stage: str
    is_training: bool
    limits: Limits
    exit: Exit | None = None
    disrupted: str = ""
    cannot_start: str = ""
    hanging: int = 0
    said: str = ""
    failures: int = 0
    fruitless: int = 0
    interruptions: int = 0
    progressed: bool = False
    saved: int | None = None
    micro_batch: int = 1
    halved: bool = False
    needs: str = ""

    @property
    def code(self) -> int:
        """The trainer's exit code, or -1 when nothing told one."""
        return self.exit.told_code if self.exit else -1

    @property
    def reason(self) -> str:
        """The trainer's or Kubernetes' word for the end."""
        return str(self.exit.outcome.get("reason", self.exit.reason)) if self.exit else ""

    @property
    def message(self) -> str:
        """What happened, as well as anybody told it."""
        if self.exit is None:
            return self.said or "No pod of the attempt is left to tell why."
        told = self.exit.outcome.get("message")
        if isinstance(told, str) and told:
            return told
        tail = f" The last lines of its log:\n{self.exit.message}" if self.exit.message else ""
        return f"{_ended(self.exit)}{tail}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens after a failed attempt, and what people read about it."""

    verdict: Verdict
    reason: Reason
    message: str
    count: Count = Count.FAILURE
    delay_seconds: float = 0
    halve: bool = False


Rule = Callable[[Failure], Decision | None]


def interruptions_are_free(failure: Failure) -> Decision | None:
    """A pod taken by the cluster says nothing about the run."""
    if not failure.disrupted:
        return None
    return _interrupted(failure, Reason.EVICTED, f"A pod was taken away ({failure.disrupted}).")


def saved_stops_are_free(failure: Failure) -> Decision | None:
    """Told to stop and saved: nothing is lost."""
    if failure.code != ExitCode.STOPPED_AND_SAVED:
        return None
    return _interrupted(failure, Reason.STOPPED, failure.message)


def what_cannot_start_stays_stalled(failure: Failure) -> Decision | None:
    """An image or mount that did not come in time will not come by trying again."""
    if not failure.cannot_start:
        return None
    return Decision(
        Verdict.GIVE_UP,
        Reason.START_FAILED,
        f"The pods did not start in time: {failure.cannot_start}. Correct it, then run "
        "`uncensor retry`.",
    )


def memory_is_halved_once(failure: Failure) -> Decision | None:
    """Half the micro-batch and twice the accumulation train the same model in less memory."""
    if not _ran_out_of_memory(failure):
        return None
    needs = f" {failure.needs}" if failure.needs else ""
    if not failure.is_training:
        return Decision(
            Verdict.GIVE_UP,
            Reason.OUT_OF_MEMORY,
            f"The pod ran out of memory.{needs} Give it more with compute.stages.{failure.stage}"
            ".memory, or lower its batch size, then run `uncensor retry`.",
        )
    if failure.halved or failure.micro_batch <= 1:
        return Decision(
            Verdict.GIVE_UP,
            Reason.OUT_OF_MEMORY,
            f"The training ran out of memory with micro-batches of {failure.micro_batch} rows too."
            f"{needs} Create a run with a smaller training.maxLength, more GPUs, LoRA or "
            "deepspeed.offload, or give the pods more memory with compute.stages.train.memory.",
        )
    return Decision(
        Verdict.RETRY,
        Reason.HALVED_BATCH,
        f"The training ran out of memory; going on with micro-batches of "
        f"{failure.micro_batch // 2} instead of {failure.micro_batch} rows and twice the "
        "accumulation, which trains the same model.",
        delay_seconds=failure.limits.first_seconds,
        halve=True,
    )


def input_errors_are_final(failure: Failure) -> Decision | None:
    """The spec or the data is at fault; another try cannot help."""
    if failure.code != ExitCode.INVALID_INPUT:
        return None
    return Decision(Verdict.GIVE_UP, Reason.INVALID_INPUT, failure.message)


def numeric_failures_are_final(failure: Failure) -> Decision | None:
    """The trainer has rolled back as often as it may."""
    if failure.code != ExitCode.NUMERIC_FAILURE:
        return None
    return Decision(Verdict.GIVE_UP, Reason.NUMERIC_FAILURE, failure.message)


def training_must_progress(failure: Failure) -> Decision | None:
    """Attempts that save nothing new repeat the same end for ever."""
    fruitless = 0 if failure.progressed else failure.fruitless + 1
    if not failure.is_training or fruitless < failure.limits.no_progress_limit:
        return None
    return Decision(
        Verdict.GIVE_UP,
        Reason.NO_PROGRESS,
        f"{fruitless} attempts in a row saved no new checkpoint. The last one: "
        f"{_what(failure)} Look at its log, lower training.checkpoints.everySteps if attempts end "
        "before they save, then run `uncensor retry`.",
    )


def the_rest_is_tried_again(failure: Failure) -> Decision:
    """With growing waits, up to the limit."""
    reason, patience = _named(failure)
    number = failure.failures + 1
    if number > failure.limits.backoff_limit:
        final = Reason.BACKOFF_LIMIT_EXCEEDED if reason is Reason.ATTEMPT_FAILED else reason
        return Decision(
            Verdict.GIVE_UP,
            final,
            f"{number} attempts failed, and runPolicy.backoffLimit is "
            f"{failure.limits.backoff_limit}. The last one: {_what(failure)} When the cause is "
            "gone, run `uncensor retry`.",
        )
    return Decision(
        Verdict.RETRY,
        reason,
        f"{_what(failure)} Attempt {number} of {failure.limits.backoff_limit} that may fail.",
        delay_seconds=backoff(failure.limits, number) * patience,
    )


POLICY: Sequence[Rule] = (
    interruptions_are_free,
    saved_stops_are_free,
    what_cannot_start_stays_stalled,
    memory_is_halved_once,
    input_errors_are_final,
    numeric_failures_are_final,
    training_must_progress,
    the_rest_is_tried_again,
)


def decide(failure: Failure, policy: Sequence[Rule] = POLICY) -> Decision:
    """Return the first decision of the policy."""
    for rule in policy:
        if decision := rule(failure):
            return decision
    raise AssertionError("the last rule of a policy always decides")


def backoff(limits: Limits, number: int) -> float:
    """Return the seconds to wait before the attempt after `number` failures."""
    # Beyond 2^30 the cap has long been reached; the power itself would overflow a float.
    return min(limits.longest_seconds, limits.first_seconds * 2.0 ** min(number - 1, 30))


def _interrupted(failure: Failure, reason: Reason, what: str) -> Decision:
    number = failure.interruptions + 1
    if number > failure.limits.max_interruptions:
        return Decision(
            Verdict.GIVE_UP,
            Reason.RESTARTS_EXHAUSTED,
            f"{what} That was interruption {number}, and runPolicy.maxInfrastructureRestarts is "
            f"{failure.limits.max_interruptions}. Raise it, or run `uncensor retry`.",
            Count.INTERRUPTION,
        )
    # A cluster that takes every attempt away at once would use the budget up within minutes.
    barren = 0 if failure.progressed else number - FREE_AT_ONCE
    delay = backoff(failure.limits, barren) if barren > 0 else 0.0
    return Decision(
        Verdict.RETRY, reason, f"{what} Starting again.", Count.INTERRUPTION, delay_seconds=delay
    )


def _ran_out_of_memory(failure: Failure) -> bool:
    return failure.exit is not None and (
        failure.exit.reason == "OOMKilled" or failure.reason == Reason.OUT_OF_MEMORY
    )


def _named(failure: Failure) -> tuple[Reason, int]:
    """The reason that people see, and how much longer than usual to wait."""
    if failure.hanging or failure.code == ExitCode.HANGING:
        return Reason.HANGING, 1
    if failure.code == ExitCode.WORKSPACE_FAILURE:
        return Reason.WORKSPACE_FAILURE, WORKSPACE_PATIENCE
    if failure.code == ExitCode.SOURCE_UNAVAILABLE:
        return Reason.SOURCE_UNAVAILABLE, 1
    return Reason.ATTEMPT_FAILED, 1


def _what(failure: Failure) -> str:
    if failure.hanging:
        return f"No step was done for {failure.hanging} s, so the attempt was ended."
    return failure.message


def _ended(end: Exit) -> str:
    if end.code == SIGKILL:
        return "The process was killed from outside (SIGKILL)."
    if end.code < 0:
        return f"The pod failed ({end.reason or 'no reason given'})."
    return f"The process ended with code {end.code}."
