"""Objects as the API server has them, read into the API's types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from uncensor_operator.api.documents import parsed
from uncensor_operator.api.problems import Problem, problems_of
from uncensor_operator.api.v1alpha1 import UncensorTraining
from uncensor_operator.errors import SpecError

# The server owns the rest, and newer servers add to it.
_METADATA = ("name", "namespace", "labels", "annotations", "uid", "generation")


def training_of(raw: Mapping[str, Any]) -> UncensorTraining:
    """Return a run's object, without its status.

    Raises:
        SpecError: the CRD of the cluster accepts what this release does not know.
    """
    metadata = {key: raw["metadata"][key] for key in _METADATA if key in raw["metadata"]}
    text = json.dumps(
        {
            "apiVersion": raw["apiVersion"],
            "kind": raw["kind"],
            "metadata": metadata,
            "spec": raw.get("spec", {}),
        }
    )
    try:
        return UncensorTraining.model_validate_json(text, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise SpecError(_problems(error, text)) from error


def _problems(error: ValidationError, text: str) -> tuple[Problem, ...]:
    """Word what is wrong as `uncensor validate` does; lines of our own JSON would tell nobody."""
    (document,) = parsed(text)
    assert document.root is not None  # noqa: S101 - JSON is YAML
    found = problems_of(error, document.root, "")
    return tuple(Problem(one.path, one.message) for one in found)
