"""Filter: which rows teach a model to refuse, and what happens to them.

Reads the data sets that fetch left; writes kept.jsonl, unfiltered.jsonl, decisions.jsonl,
quarantine.jsonl and report.json. Every row that came in is in exactly one of kept, dropped and
quarantined.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from uncensor_trainer.data.formats import BadRow, Message, Row, read_rows
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.filtering.policy import Decision, Policy, decide
from uncensor_trainer.progress import Json
from uncensor_trainer.refusals.classes import AnswerClass
from uncensor_trainer.run import StageContext
from uncensor_trainer.runfile import FilterSettings
from uncensor_trainer.workspace import read_json, write_json

EXAMPLES = 5
EXAMPLE_CHARACTERS = 400


@dataclass(slots=True)
class Counts:
    """Rows by what happened to them."""

    rows: int = 0
    kept: int = 0
    dropped: int = 0
    stripped: int = 0
    cut: int = 0
    quarantined: int = 0


@dataclass(slots=True)
class Report:
    """What report.json shows."""

    total: Counts = field(default_factory=Counts)
    datasets: dict[str, Counts] = field(default_factory=dict)
    by_class: Counter[str] = field(default_factory=Counter)
    by_rule: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Json]] = field(default_factory=dict)
    quarantine: list[Json] = field(default_factory=list)


def run(context: StageContext, out: Path) -> dict[str, Json]:
    """Classify every answer and write the rows that stay.

    Raises:
        InvalidInput: a data set cannot be read, or (nearly) nothing of it would stay.
    """
    settings = context.run.filter
    _refuse_unnamed_classes(settings)
    actions = {str(name): str(action) for name, action in settings.actions.items()}
    policy = Policy(settings.mode, actions, settings.extra_rules)
    report = Report()
    with (
        (out / "kept.jsonl").open("w", encoding="utf-8") as kept,
        (out / "unfiltered.jsonl").open("w", encoding="utf-8") as unfiltered,
        (out / "decisions.jsonl").open("w", encoding="utf-8") as decisions,
        (out / "quarantine.jsonl").open("w", encoding="utf-8") as quarantine,
    ):
        for name, row in _rows(context):
            counts = report.datasets.setdefault(name, Counts())
            if isinstance(row, BadRow):
                _quarantine(name, row, counts, report, quarantine)
                continue
            _write(unfiltered, _as_json(name, row.index, row.messages))
            decision = decide(row.messages, policy) if settings.mode != "off" else Decision()
            _count(name, row, decision, counts, report)
            if decision.verdicts:
                _write(decisions, _decision_json(name, row, decision))
            if decision.action != "drop":
                _write(kept, _as_json(name, row.index, _left(row, decision)))
            context.progress.update(sum(c.rows for c in report.datasets.values()))
    _sum(report)
    result = _report_json(settings, report)
    write_json(out / "report.json", result)
    _tell_quarantined(context, report)
    _refuse_mistakes(context, out, report)
    by_class: Json = dict(report.by_class)
    return {
        "rows": report.total.rows,
        "kept": report.total.kept,
        "dropped": report.total.dropped,
        "stripped": report.total.stripped,
        "cut": report.total.cut,
        "quarantined": report.total.quarantined,
        "byClass": by_class,
    }


def _refuse_unnamed_classes(settings: FilterSettings) -> None:
    missing = sorted({str(name) for name in AnswerClass} - {"none"} - set(settings.actions))
    if missing:
        raise InvalidInput(
            f"filter.actions says nothing about {', '.join(missing)}. Give each class one of "
            "drop, cut, drop-turn, strip and keep."
        )


def _left(row: Row, decision: Decision) -> tuple[Message, ...]:
    """Return what stays of a conversation."""
    return tuple(
        replace(message, content=decision.texts.get(number, message.content))
        for number, message in enumerate(row.messages)
        if number not in decision.removed
    )


def _rows(context: StageContext) -> Iterator[tuple[str, Row | BadRow]]:
    sources = read_json(context.workspace.output("fetch") / "sources.json") or {}
    files = sources.get("datasets")
    for dataset in context.run.datasets:
        entry = files.get(dataset.name) if isinstance(files, dict) else None
        if not isinstance(entry, dict) or not isinstance(entry.get("files"), list):
            raise InvalidInput(f"fetch left no files of {dataset.name!r}; use --from fetch.")
        paths = [context.workspace.root / str(path) for path in entry["files"]]  # type: ignore[union-attr]
        try:
            for row in read_rows(paths, dataset.format, dataset.max_rows):
                yield dataset.name, row
        except InvalidInput as error:
            raise InvalidInput(f"Data set {dataset.name!r}: {error}") from error


def _quarantine(name: str, row: BadRow, counts: Counts, report: Report, file: TextIO) -> None:
    counts.rows += 1
    counts.quarantined += 1
    line: dict[str, Json] = {
        "dataset": name,
        "index": row.index,
        "reason": row.reason,
        "snippet": row.snippet,
    }
    _write(file, line)
    if len(report.quarantine) < EXAMPLES:
        report.quarantine.append(line)


def _count(name: str, row: Row, decision: Decision, counts: Counts, report: Report) -> None:
    counts.rows += 1
    counts.dropped += decision.action == "drop"
    counts.kept += decision.action != "drop"
    counts.stripped += decision.action == "strip"
    counts.cut += decision.action == "cut"
    if not decision.verdicts:
        return
    verdict = decision.strongest
    report.by_class[verdict.answer_class.value] += 1
    report.by_rule[verdict.rule] += 1
    examples = report.examples.setdefault(verdict.answer_class.value, [])
    if len(examples) < EXAMPLES:
        examples.append(_example(name, row, decision))


def _example(name: str, row: Row, decision: Decision) -> Json:
    verdict = decision.strongest
    position = next(p for p, v in decision.verdicts if v is verdict)
    return {
        "dataset": name,
        "index": row.index,
        "instruction": row.messages[position - 1].content[:EXAMPLE_CHARACTERS],
        "response": row.messages[position].content[:EXAMPLE_CHARACTERS],
        "rule": verdict.rule,
        "start": verdict.start,
        "end": verdict.end,
        "action": decision.action,
    }


def _decision_json(name: str, row: Row, decision: Decision) -> dict[str, Json]:
    return {"dataset": name, **decision.as_json(row.index)}


def _as_json(name: str, index: int, messages: tuple[Message, ...]) -> dict[str, Json]:
    turns: list[Json] = [dict(message.as_json()) for message in messages]
    return {"dataset": name, "index": index, "messages": turns}


def _write(file: TextIO, value: dict[str, Json]) -> None:
    file.write(json.dumps(value, ensure_ascii=False) + "\n")


def _sum(report: Report) -> None:
    for counts in report.datasets.values():
        report.total.rows += counts.rows
        report.total.kept += counts.kept
        report.total.dropped += counts.dropped
        report.total.stripped += counts.stripped
        report.total.cut += counts.cut
        report.total.quarantined += counts.quarantined
    total = report.total
    assert total.rows == total.kept + total.dropped + total.quarantined  # noqa: S101


def _counts_json(counts: Counts) -> dict[str, Json]:
    return {
        "rows": counts.rows,
        "kept": counts.kept,
        "dropped": counts.dropped,
        "stripped": counts.stripped,
        "cut": counts.cut,
        "quarantined": counts.quarantined,
    }


def _report_json(settings: FilterSettings, report: Report) -> dict[str, Json]:
    datasets: list[Json] = [
        {"name": name, **_counts_json(counts)} for name, counts in report.datasets.items()
    ]
    by_class: Json = dict(report.by_class.most_common())
    by_rule: Json = dict(report.by_rule.most_common())
    examples: Json = dict(report.examples)
    return {
        "mode": settings.mode,
        **_counts_json(report.total),
        "byClass": by_class,
        "byRule": by_rule,
        "datasets": datasets,
        "examples": examples,
        "quarantineExamples": report.quarantine,
    }


def _tell_quarantined(context: StageContext, report: Report) -> None:
    for name, counts in report.datasets.items():
        if counts.quarantined:
            context.progress.note(
                f"{counts.quarantined} of {counts.rows} rows of {name!r} are malformed and left "
                "out; quarantine.jsonl says why."
            )


def _refuse_mistakes(context: StageContext, out: Path, report: Report) -> None:
    """A filter that takes most of the data is a mistake until somebody says otherwise."""
    total = report.total
    readable = total.rows - total.quarantined
    limit = context.run.filter.max_drop_fraction
    for_the_user = context.workspace.run_dir / "filter-refused"
    shutil.rmtree(for_the_user, ignore_errors=True)
    if total.kept and total.dropped <= limit * readable:
        return
    for_the_user.mkdir(parents=True)
    for name in ("report.json", "decisions.jsonl", "quarantine.jsonl"):
        shutil.copy(out / name, for_the_user / name)
    if not readable:
        raise InvalidInput(_nothing_readable(report, for_the_user))
    rules = ", ".join(f"{rule} {count}" for rule, count in report.by_rule.most_common(3))
    raise InvalidInput(
        f"The filter dropped {total.dropped} of {readable} readable rows "
        f"({total.dropped / readable:.0%}; {total.quarantined} more could not be read) and kept "
        f"{total.kept}. filter.maxDropFraction allows {limit:.0%}, and one row must be left. Rules "
        f"that matched most: {rules}. Look at {for_the_user}, then change filter.actions, or raise "
        "filter.maxDropFraction if this is what you want."
    )


def _nothing_readable(report: Report, for_the_user: Path) -> str:
    reasons = "; ".join(
        f"row {line['index']} of {line['dataset']!r}: {line['reason']}"
        for line in report.quarantine[:3]
        if isinstance(line, dict)
    )
    return (
        f"None of the {report.total.rows} rows can be read: {reasons}. Look at "
        f"{for_the_user}/quarantine.jsonl, then correct the data, or the data set's format."
    )
