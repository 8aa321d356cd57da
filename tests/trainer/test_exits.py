import errno

import pytest
import torch

from uncensor_trainer.exits import (
    ExitCode,
    InvalidInput,
    NumericFailure,
    SourceUnavailable,
    StopRequested,
    as_stage_error,
)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InvalidInput("row 3"), 64, "row 3"),
        (SourceUnavailable("no answer"), 69, "no answer"),
        (NumericFailure("loss"), 76, "loss"),
        (StopRequested("saved"), 75, "saved"),
        (KeyboardInterrupt(), 75, "same command"),
        (OSError(errno.ENOSPC, "No space left on device", "/w/x"), 74, "/w/x"),
        (OSError(errno.EROFS, "Read-only file system"), 74, "Read-only"),
        (PermissionError(errno.EACCES, "Permission denied", "/w"), 74, "allow this user"),
        (MemoryError(), 64, "microBatchSize"),
        (torch.OutOfMemoryError("CUDA out of memory"), 64, "microBatchSize"),
        (
            RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            ),
            64,
            "microBatchSize",
        ),
    ],
)
def test_an_end_that_people_can_help_has_a_code_and_a_sentence(error, code, words):
    known = as_stage_error(error)
    assert known.code == code
    assert words in str(known)


@pytest.mark.parametrize(
    "error", [ValueError("x"), RuntimeError("shape mismatch"), OSError(errno.EINVAL, "Invalid")]
)
def test_everything_else_is_our_own_fault(error):
    assert as_stage_error(error) is None


def test_the_codes_are_those_of_the_contract():
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "INVALID_INPUT": 64,
        "SOURCE_UNAVAILABLE": 69,
        "OWN_BUG": 70,
        "WORKSPACE_FAILURE": 74,
        "STOPPED_AND_SAVED": 75,
        "NUMERIC_FAILURE": 76,
        "HANGING": 79,
    }
