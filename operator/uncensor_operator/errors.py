"""What can go wrong in the operator and the command line, as one small tree.

    UncensorError               something that a person must read about, without a traceback
    |-- SpecError               a manifest is at fault; carries one problem for each field
    |   `-- UnsupportedError    the manifest is right, but asks for what this version cannot do
    `-- ClusterError            no cluster, no answer from it, or a refusal; carries the HTTP code

Failures inside a stage are not here: they are the trainer's (`uncensor_trainer.exits`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uncensor_operator.api.problems import Problem


class UncensorError(Exception):
    """Base of every error whose message is written for people."""


class SpecError(UncensorError):
    """A manifest that the API refuses, with everything that is wrong in it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class UnsupportedError(SpecError):
    """A valid manifest that asks for a stage which this version does not have."""


class ClusterError(UncensorError):
    """A cluster that is not known, does not answer, or refuses a request."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code
        """HTTP status of the refusal; 0 when there was no answer."""
