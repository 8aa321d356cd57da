"""Gathers the facts of one run folder; everything that is absent stays out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from uncensor_trainer.progress import Json
from uncensor_trainer.report import answers
from uncensor_trainer.report.facts import (
    BadRowFact,
    Comparison,
    Corrected,
    EvaluationFact,
    Event,
    Example,
    Facts,
    FileFact,
    FilterFact,
    Gate,
    Perplexity,
    Point,
    Rate,
    RowCounts,
    SourceFact,
    StageFact,
    StoreFact,
    TrainingFact,
)
from uncensor_trainer.report.reading import count, counts, mapping, number, objects, rows, text
from uncensor_trainer.runfile import RunFile
from uncensor_trainer.workspace import Workspace, read_json

SHOWN_SAMPLES = 200
SHOWN_BAD_ROWS = 50
TRAIN_STAGES = {"filtered": "train", "control": "train-control"}


def collect(run: RunFile, workspace: Workspace) -> Facts:
    """Read everything that the stages of a run left."""
    planned = {stage.name: stage.digest for stage in run.stages if stage.name != "report"}
    records = {name: _stage(name, workspace.record(name)) for name in planned}
    found = {name: fact for name, fact in records.items() if fact is not None}
    stages = {name: fact for name, fact in found.items() if fact.digest == planned[name]}
    evaluation = workspace.output("evaluate") if "evaluate" in stages else None
    probe = workspace.output("probe") if "probe" in stages else None
    return Facts(
        run=run,
        stages=stages,
        stale=tuple(name for name in found if name not in stages),
        events=tuple(_events(workspace.events)),
        sources=_sources(workspace.output("fetch")) if "fetch" in stages else (),
        filter=_filter(workspace.output("filter")) if "filter" in stages else None,
        stores=_stores(workspace.output("prepare")) if "prepare" in stages else (),
        training=tuple(_training(run, workspace, found, stages)),
        evaluation=_evaluation(evaluation) if evaluation else None,
        samples=answers.of_evaluation(evaluation, SHOWN_SAMPLES),
        probe=answers.of_probe(probe, SHOWN_SAMPLES),
    )


def _stage(name: str, record: dict[str, Json] | None) -> StageFact | None:
    if record is None:
        return None
    versions = mapping(record.get("versions"))
    return StageFact(
        name=name,
        digest=text(record.get("digest")),
        started=number(record.get("startedAt")) or 0.0,
        finished=number(record.get("finishedAt")) or 0.0,
        seconds=number(record.get("seconds")) or 0.0,
        summary=mapping(record.get("summary")),
        versions={text(key): text(value) for key, value in versions.items()},
    )


def _events(path: Path) -> Iterator[Event]:
    for row in rows(path):
        time = number(row.get("time"))
        if time is None:
            continue
        message = text(row.get("message")) or text(row.get("reason"))
        peak = count(row.get("peakMemoryBytes"))
        yield Event(time, text(row.get("event")), text(row.get("stage")), message, peak)


def _sources(folder: Path) -> tuple[SourceFact, ...]:
    entries = read_json(folder / "sources.json") or {}
    found = [_source(role, mapping(entries.get(role))) for role in ("model", "baseline")]
    found += [
        _source(f"data set {name}", mapping(entry))
        for name, entry in mapping(entries.get("datasets")).items()
    ]
    found += [_source(role, mapping(entries.get(role))) for role in ("probe", "prompts", "answers")]
    return tuple(source for source in found if source is not None)


def _source(role: str, entry: dict[str, Json]) -> SourceFact | None:
    if not entry:
        return None
    described = mapping(entry.get("source"))
    files = tuple(
        FileFact(text(file.get("name")), count(file.get("size")), text(file.get("sha256")))
        for file in objects(entry.get("content"))
    )
    revision = text(entry.get("revision")) or text(described.get("commit"))
    return SourceFact(text(role), text(described.get("kind")), origin(described), revision, files)


def origin(described: dict[str, Json]) -> str:
    """Return where a source lies, in one line."""
    keys = {"huggingFace": ("repo",), "http": ("url",), "path": ("path",)}
    wanted = keys.get(text(described.get("kind")), ("name", "version", "file"))
    return " ".join(part for key in wanted if (part := text(described.get(key))))


def _filter(folder: Path) -> FilterFact | None:
    report = read_json(folder / "report.json")
    if report is None:
        return None
    return FilterFact(
        mode=text(report.get("mode"), "enforce"),
        total=_row_counts(report),
        datasets=tuple(_row_counts(entry) for entry in objects(report.get("datasets"))),
        by_class=counts(report.get("byClass")),
        by_rule=counts(report.get("byRule")),
        actions=_actions(folder / "decisions.jsonl"),
        examples=tuple(_examples(mapping(report.get("examples")))),
        bad_rows=tuple(_bad_rows(folder, report)),
    )


def _row_counts(entry: dict[str, Json]) -> RowCounts:
    return RowCounts(
        name=text(entry.get("name")),
        rows=count(entry.get("rows")),
        kept=count(entry.get("kept")),
        dropped=count(entry.get("dropped")),
        stripped=count(entry.get("stripped")) + count(entry.get("cut")),
        quarantined=count(entry.get("quarantined")),
    )


def _actions(path: Path) -> dict[tuple[str, str], int]:
    found = Counter((text(row.get("class")), text(row.get("action"))) for row in rows(path))
    return dict(sorted(found.items()))


def _examples(by_class: dict[str, Json]) -> Iterator[Example]:
    for answer_class, listed in by_class.items():
        for entry in objects(listed):
            yield Example(
                answer_class=text(answer_class),
                dataset=text(entry.get("dataset")),
                index=count(entry.get("index")),
                instruction=text(entry.get("instruction")),
                response=text(entry.get("response")),
                rule=text(entry.get("rule")),
                start=count(entry.get("start")),
                end=count(entry.get("end")),
                action=text(entry.get("action")),
            )


def _bad_rows(folder: Path, report: dict[str, Json]) -> Iterator[BadRowFact]:
    listed: Iterable[dict[str, Json]] = rows(folder / "quarantine.jsonl")
    if not (folder / "quarantine.jsonl").exists():
        listed = objects(report.get("quarantineExamples"))
    for _, entry in zip(range(SHOWN_BAD_ROWS), listed, strict=False):
        yield BadRowFact(
            dataset=text(entry.get("dataset")),
            index=count(entry.get("index")),
            reason=text(entry.get("reason")),
            snippet=text(entry.get("snippet")),
        )


def _stores(folder: Path) -> tuple[StoreFact, ...]:
    found = ((arm, read_json(folder / arm / "store.json")) for arm in TRAIN_STAGES)
    return tuple(
        StoreFact(
            arm=arm,
            rows=count(meta.get("rows")),
            tokens=count(meta.get("tokens")),
            loss_tokens=count(meta.get("lossTokens")),
            longest=count(meta.get("longest")),
            rejected=counts((read_json(folder / arm / "rejected.json") or {}).get("reasons")),
        )
        for arm, meta in found
        if meta is not None
    )


def _training(
    run: RunFile,
    workspace: Workspace,
    found: dict[str, StageFact],
    stages: dict[str, StageFact],
) -> Iterator[TrainingFact]:
    for arm, stage in TRAIN_STAGES.items():
        is_stale = stage in found and stage not in stages
        if arm not in run.arms or is_stale:
            continue
        points = _points(workspace.arm_dir(arm) / "metrics.jsonl")
        if not points and stage not in stages:
            continue
        summary = stages[stage].summary if stage in stages else {}
        yield TrainingFact(
            arm=arm,
            points=points,
            finished=stage in stages,
            steps=count(summary.get("steps")) or (points[-1].step if points else 0),
            final_loss=number(summary.get("finalLoss")),
            tokens=count(summary.get("tokens")),
            parameters=count(summary.get("parameters")),
            tokens_per_second=number(summary.get("tokensPerSecond")),
            mfu=number(summary.get("mfu")),
            goodput=number(summary.get("goodput")),
            peak_memory=count(summary.get("peakMemoryBytes")),
        )


def _points(path: Path) -> tuple[Point, ...]:
    """Return the steps in order; a step done again after a resume counts once, the last time."""
    found: dict[int, Point] = {}
    for row in rows(path):
        if number(row.get("step")) is None or "loss" not in row:
            continue
        step = count(row.get("step"))
        found[step] = Point(
            step=step,
            loss=number(row.get("loss")),
            epoch=number(row.get("epoch")),
            learning_rate=number(row.get("learning_rate")),
            time=number(row.get("time")),
        )
    return tuple(found[step] for step in sorted(found))


def _evaluation(folder: Path) -> EvaluationFact | None:
    result = read_json(folder / "refusal.json")
    if result is None:
        return None
    settings = mapping(result.get("settings"))
    return EvaluationFact(
        prompts=count(result.get("prompts")),
        rates=tuple(_rates(mapping(result.get("arms")))),
        comparison=_comparison(mapping(result.get("comparison"))),
        perplexities=tuple(_perplexities(mapping(result.get("perplexity")))),
        perplexity_ratio=number(result.get("perplexityRatio")),
        gate=_gate(mapping(result.get("gate"))),
        settings={text(key): text(value, str(value)) for key, value in settings.items()},
    )


def _rates(arms: dict[str, Json]) -> Iterator[Rate]:
    for arm, value in arms.items():
        entry = mapping(value)
        n = count(entry.get("n"))
        if n <= 0:
            continue
        refusals = count(entry.get("refusals"))
        rate = number(entry.get("rate"))
        yield Rate(
            arm=text(arm),
            refusals=refusals,
            n=n,
            rate=_share(refusals / n if rate is None else rate) or 0.0,
            low=_share(number(entry.get("low"))),
            high=_share(number(entry.get("high"))),
            by_class=counts(entry.get("byClass")),
            corrected=_corrected(mapping(entry.get("corrected"))),
        )


def _corrected(entry: dict[str, Json]) -> Corrected | None:
    found = [_share(number(entry.get(key))) for key in ("rate", "low", "high")]
    rate, low, high = found
    if rate is None or low is None or high is None:
        return None
    return Corrected(rate, low, high)


def _share(value: float | None) -> float | None:
    return None if value is None else min(1.0, max(0.0, value))


def _comparison(entry: dict[str, Json]) -> Comparison | None:
    p_value = number(entry.get("pValue"))
    if p_value is None:
        return None
    return Comparison(
        test=text(entry.get("test")),
        against=text(entry.get("against")),
        p_value=p_value,
        only_other=count(entry.get("onlyOther")),
        only_filtered=count(entry.get("onlyFiltered")),
    )


def _perplexities(arms: dict[str, Json]) -> Iterator[Perplexity]:
    for arm, value in arms.items():
        entry = mapping(value)
        perplexity = number(entry.get("perplexity"))
        if perplexity is None:
            continue
        yield Perplexity(
            arm=text(arm),
            perplexity=perplexity,
            low=number(entry.get("low")),
            high=number(entry.get("high")),
            tokens=count(entry.get("tokens")),
            answers=count(entry.get("answers")),
        )


def _gate(entry: dict[str, Json]) -> Gate | None:
    max_rate = number(entry.get("maxRefusalRate"))
    return None if max_rate is None else Gate(max_rate, entry.get("met") is True)
