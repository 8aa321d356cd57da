"""`uncensor validate`: every problem of every manifest, or a word that there is none."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from uncensor_operator.api.problems import Problem
from uncensor_operator.api.reading import Document, read
from uncensor_operator.api.unsupported import unsupported


def validate(files: Sequence[str], *, as_json: bool) -> int:
    """Print the verdict on each manifest and return the exit code (0 or 1)."""
    documents = read(files)
    verdicts = [(document, _problems(document)) for document in documents]
    if as_json:
        print(json.dumps([_as_json(*verdict) for verdict in verdicts], indent=1))  # noqa: T201
    else:
        _show(verdicts)
    return 1 if any(problems for _, problems in verdicts) else 0


def _problems(document: Document) -> tuple[Problem, ...]:
    """What is wrong, or else what this version cannot do yet."""
    if document.problems or document.training is None:
        return document.problems
    return tuple(document.located(one) for one in unsupported(document.training))


def _as_json(document: Document, problems: tuple[Problem, ...]) -> dict[str, object]:
    return {
        "file": document.file,
        "line": document.line,
        "name": document.training.metadata.name if document.training else None,
        "valid": not problems,
        "problems": [
            {"path": one.path, "message": one.message, "line": one.line} for one in problems
        ],
    }


def _show(verdicts: Sequence[tuple[Document, tuple[Problem, ...]]]) -> None:
    # Plain prints: rich takes a tenth of a second to import, and this runs in every pipeline.
    for document, problems in verdicts:
        for problem in problems:
            print(problem, file=sys.stderr)  # noqa: T201
        if not problems and document.training is not None:
            name = document.training.metadata.name
            print(f"{document.file}: UncensorTraining {name} is valid")  # noqa: T201
