"""`uncensor suspend`, `resume` and `retry`: the three changes that people make to living runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from uncensor_operator.cli.cluster.connection import Connection, Object, connect, runs_path
from uncensor_operator.cli.cluster.options import ClusterOptions, program
from uncensor_operator.cli.cluster.runs import Run, find
from uncensor_operator.errors import UncensorError
from uncensor_operator.names import Annotation, ConditionType


def suspend(name: str, options: ClusterOptions, *, wanted: bool, as_json: bool) -> int:
    """Set or clear spec.suspend and return the exit code.

    Raises:
        UncensorError: no such run, no right to change it, or it has ended.
    """
    connection = connect(options)
    run = find(connection, name)
    verb = "suspend" if wanted else "resume"
    if bool(run.spec.get("suspend", False)) is wanted:
        said = f"{name} is {'suspended' if wanted else 'not suspended'} already; nothing changed."
        return _done(run, verb, said, changed=False, as_json=as_json)
    if wanted and run.is_true(ConditionType.SUCCEEDED):
        raise UncensorError(f"{name} has finished; there is nothing to suspend.")
    changed = _patched(connection, name, {"spec": {"suspend": wanted}})
    if wanted:
        said = (
            f"{name} will save its state and give its nodes back; `{program()} resume {name}"
            f"{options.as_words()}` goes on from there."
        )
    else:
        said = f"{name} goes on from where it was saved."
    return _done(changed, verb, said, changed=True, as_json=as_json)


def retry(name: str, options: ClusterOptions, *, as_json: bool) -> int:
    """Ask for another attempt of a stalled run and return the exit code.

    Raises:
        UncensorError: no such run, no right to change it, or it is not stalled.
    """
    connection = connect(options)
    run = find(connection, name)
    if not run.is_true(ConditionType.STALLED):
        raise UncensorError(
            f"{name} is not stalled ({run.state}), so there is nothing to try again: the operator "
            "itself repeats attempts that may succeed."
        )
    # Microseconds, so that two requests in one second differ.
    value = datetime.now(UTC).isoformat(timespec="microseconds")
    changed = _patched(connection, name, {"metadata": {"annotations": {Annotation.RETRY: value}}})
    reason = run.conditions[ConditionType.STALLED].get("reason")
    said = f"{name} is tried again; it was stalled by {reason}."
    if run.spec.get("suspend"):
        said += f" It is suspended, too: `{program()} resume {name}{options.as_words()}` starts it."
    return _done(changed, "retry", said, changed=True, as_json=as_json)


def _patched(connection: Connection, name: str, body: Object) -> Run:
    return Run(connection.patch(runs_path(connection.namespace, name), body))


def _done(run: Run, verb: str, said: str, *, changed: bool, as_json: bool) -> int:
    if as_json:
        value = {
            "run": run.name,
            "namespace": run.namespace,
            "action": verb,
            "changed": changed,
            "message": said,
        }
        print(json.dumps(value, indent=1, ensure_ascii=False))  # noqa: T201
    else:
        print(said)  # noqa: T201
    return 0
