"""How a stage ends: the exit codes of the contract and the errors that lead to them.

The operator and the local runner read the code and the outcome; people read the message.

    StageError
    |-- InvalidInput       64  the run file or the data is at fault; a retry cannot help
    |-- OutOfMemory        64  the settings do not fit this machine; says which to lower
    |-- SourceUnavailable  69  a download failed; worth a retry
    |-- WorkspaceFailure   74  the disk is full, read-only or broken; worth a retry after a while
    |-- StopRequested      75  told to stop; the state is saved
    |-- NumericFailure     76  training broke, and going back to a checkpoint did not help
    `-- Hanging            79  no step for too long; the stacks are on the workspace
"""

from __future__ import annotations

import errno
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of `uncensor-trainer`; numbers follow sysexits.h where it has a word."""

    DONE = 0
    INVALID_INPUT = 64
    SOURCE_UNAVAILABLE = 69
    OWN_BUG = 70
    WORKSPACE_FAILURE = 74
    STOPPED_AND_SAVED = 75
    NUMERIC_FAILURE = 76
    HANGING = 79  # beyond the numbers of sysexits.h, which has no word for it


class StageError(Exception):
    """An end of a stage that people must read about, without a traceback."""

    code: ExitCode = ExitCode.OWN_BUG
    reason: str = "StageFailed"

    def __init__(self, message: str, **facts: int) -> None:
        """Take a sentence for people, and facts that programs read in the last word."""
        super().__init__(message)
        self.facts = facts


class InvalidInput(StageError):  # noqa: N818 - the names are sentences about what happened
    """The run file or the data is at fault."""

    code = ExitCode.INVALID_INPUT
    reason = "InvalidInput"


class OutOfMemory(StageError):  # noqa: N818
    """The settings need more memory than there is."""

    code = ExitCode.INVALID_INPUT
    reason = "OutOfMemory"


class SourceUnavailable(StageError):  # noqa: N818
    """A source did not answer, or not with what was asked for."""

    code = ExitCode.SOURCE_UNAVAILABLE
    reason = "SourceUnavailable"


class WorkspaceFailure(StageError):  # noqa: N818
    """The workspace cannot be written or read."""

    code = ExitCode.WORKSPACE_FAILURE
    reason = "WorkspaceFailure"


class StopRequested(StageError):  # noqa: N818
    """SIGTERM or Ctrl-C arrived; what was done is saved."""

    code = ExitCode.STOPPED_AND_SAVED
    reason = "Stopped"


class NumericFailure(StageError):  # noqa: N818
    """A loss or gradient is not finite or far off, and rolling back did not help."""

    code = ExitCode.NUMERIC_FAILURE
    reason = "NumericFailure"


class Hanging(StageError):  # noqa: N818
    """Training has shown no step for longer than UNCENSOR_STALL_TIMEOUT_SECONDS."""

    code = ExitCode.HANGING
    reason = "Hanging"


_DISK_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
}


def as_stage_error(error: BaseException) -> StageError | None:
    """Return the error that people should read, or None when the fault is our own."""
    if isinstance(error, StageError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return StopRequested("Stopped by Ctrl-C; the same command goes on from here.")
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        where = f" at {error.filename}" if error.filename else ""
        return WorkspaceFailure(
            f"The workspace cannot be used{where}: {error.strerror}. Free some space, allow this "
            "user to write there, or choose another workspace; then run the same command again. "
            "Nothing that was complete is lost."
        )
    if _is_out_of_memory(error):
        return OutOfMemory(
            "The stage ran out of memory. In training, lower training.microBatchSize "
            "(globalBatchSize keeps the global batch as it is) or training.maxLength; in "
            "evaluation, lower evaluation.refusal.batchSize. Or choose a larger machine."
        )
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    """Torch raises OutOfMemoryError on a GPU and a plain RuntimeError on a CPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
