"""Filter rows that a program has in memory or generates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from uncensor_trainer.data import formats
from uncensor_trainer.data.formats import BadRow
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering.policy import Decision, Policy, checked, decide
from uncensor_trainer.filtering.rows import Reading, changed

OnDecision = Callable[[int, Decision], None]
DEFAULT = Policy()


def filter_rows(
    rows: Iterable[Mapping[str, Any]],
    policy: Policy = DEFAULT,
    on_decision: OnDecision | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows that stay, in order, with caveats stripped where the policy says so.

    Args:
        rows: in any of the known formats: alpaca, sharegpt, messages, prompt-completion.
        policy: what to do with which class.
        on_decision: called with (index, decision) for every flagged row.

    Raises:
        InvalidInput: a row has no known format or is malformed; the message says which.
    """
    policy = checked(policy)
    for index, value in enumerate(rows):
        reading = _reading(index, dict(value))
        decision = decide(reading.row.messages, policy)
        if decision.verdicts and on_decision:
            on_decision(index, decision)
        if decision.action != "drop":
            is_whole = decision.action == "keep"
            yield reading.value if is_whole else changed(reading, decision)


def _reading(index: int, value: dict[str, Any]) -> Reading:
    try:
        shape = formats.detect([value])
    except InvalidInput as error:
        raise InvalidInput(f"Row {index}: {error}") from error
    row = formats._row(index, value, shape)
    if isinstance(row, BadRow):
        raise InvalidInput(f"Row {index} is malformed: {row.reason}.")
    return Reading(value, shape, row)
