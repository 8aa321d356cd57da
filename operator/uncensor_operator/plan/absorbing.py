"""What a finished stage's last word adds to the status of its run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from uncensor_operator.api.status import (
    Artifact,
    ClassCounts,
    Columns,
    DataFacts,
    FilterStatus,
    ModelFacts,
    Results,
    Status,
    TrainingStatus,
)
from uncensor_operator.names import StageName
from uncensor_trainer.progress import Json

Summary = Mapping[str, Json]
# Of the API's integers.
_LARGEST = 2**63 - 1


def absorb(status: Status, run: str, stage: str, summary: Summary) -> Status:
    """Return the status with what a stage found; a summary that lacks something adds less."""
    take = _TAKES.get(stage)
    return take(status, run, summary) if take else status


def decimal(value: Json) -> str | None:
    """Return a number as the API writes it: text with at most six digits."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return f"{value:.6g}"


def with_artifact(status: Status, name: str, location: str) -> Status:
    """Return the status with an artifact added, or replaced."""
    others = tuple(one for one in status.artifacts if one.name != name)
    return status.model_copy(
        update={"artifacts": (*others, Artifact(name=name, location=location))}
    )


def _fetch(status: Status, run: str, summary: Summary) -> Status:
    shape = summary.get("model")
    if not isinstance(shape, dict):
        return status
    keys = ("parameters", "hidden_size", "layers", "vocabulary")
    numbers = {key: _whole(shape.get(key)) for key in keys}
    return status.model_copy(update={"model": ModelFacts(**numbers)})


def _filter(status: Status, run: str, summary: Summary) -> Status:
    found = summary.get("byClass")
    by_class = found if isinstance(found, dict) else {}
    counts = {name: _whole(by_class.get(name)) for name in ClassCounts.model_fields}
    result = FilterStatus(
        rows=_whole(summary.get("rows")),
        kept=_whole(summary.get("kept")),
        dropped=_whole(summary.get("dropped")),
        by_class=ClassCounts(**counts),
    )
    return status.model_copy(update={"filter": result})


def _prepare(status: Status, run: str, summary: Summary) -> Status:
    arm = summary.get("filtered")
    if not isinstance(arm, dict):
        return status
    facts = DataFacts(
        rows=_whole(arm.get("rows")),
        tokens=_whole(arm.get("tokens")),
        longest=_whole(arm.get("longest")),
    )
    return status.model_copy(update={"data": facts})


def _train(status: Status, run: str, summary: Summary) -> Status:
    before = status.training or TrainingStatus()
    training = before.model_copy(
        update={
            "loss": decimal(summary.get("finalLoss")) or before.loss,
            "tokens_per_second": decimal(summary.get("tokensPerSecond"))
            or before.tokens_per_second,
        }
    )
    changed = status.model_copy(update={"training": training})
    return with_artifact(changed, "model", f"runs/{run}/model")


def _train_control(status: Status, run: str, summary: Summary) -> Status:
    return with_artifact(status, "control-model", f"runs/{run}/control/model")


def _evaluate(status: Status, run: str, summary: Summary) -> Status:
    found = summary.get("rates")
    rates = found if isinstance(found, dict) else {}
    before = decimal(rates.get("control", rates.get("baseline")))
    after = decimal(rates.get("filtered"))
    shown = " -> ".join(_percent(one) for one in (before, after) if one is not None)
    columns = (status.columns or Columns()).model_copy(update={"refusals": shown or None})
    results = Results(refusal_rate_before=before, refusal_rate_after=after)
    return status.model_copy(update={"results": results, "columns": columns})


def _report(status: Status, run: str, summary: Summary) -> Status:
    return with_artifact(status, "report", f"runs/{run}/report/index.html")


def _percent(text: str) -> str:
    return f"{100 * float(text):.3g}%"


def _whole(value: Json) -> int:
    """A count; what cannot be one is 0, because the API would refuse it."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return min(max(0, int(value)), _LARGEST)


_TAKES: Mapping[str, Callable[[Status, str, Summary], Status]] = {
    StageName.FETCH: _fetch,
    StageName.FILTER: _filter,
    StageName.PREPARE: _prepare,
    StageName.TRAIN: _train,
    StageName.TRAIN_CONTROL: _train_control,
    StageName.EVALUATE: _evaluate,
    StageName.REPORT: _report,
}
