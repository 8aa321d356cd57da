"""report.json: the numbers of a run for programs.

`results` holds nothing that depends on the clock or the machine's speed: two runs that came to
the same result have equal `results`. `timings` holds the rest; `provenance` says from what.
"""

from __future__ import annotations

from uncensor_trainer.progress import Json
from uncensor_trainer.report.facts import Facts, FilterFact, Rate, Samples, TrainingFact
from uncensor_trainer.report.settings import resolved
from uncensor_trainer.report.timeline import Timeline
from uncensor_trainer.report.verdict import verdict

VERSION = "uncensor.dev/report/v1"


def report_json(facts: Facts, timeline: Timeline) -> dict[str, Json]:
    """Return the document."""
    return {
        "version": VERSION,
        "run": facts.run.run,
        "results": _results(facts),
        "timings": _timings(facts, timeline),
        "provenance": _provenance(facts),
    }


def _results(facts: Facts) -> dict[str, Json]:
    return {
        "verdict": verdict(facts),
        "filter": _filter(facts.filter),
        "prepared": {
            store.arm: {
                "rows": store.rows,
                "tokens": store.tokens,
                "lossTokens": store.loss_tokens,
                "longest": store.longest,
                "rejected": _plain(store.rejected),
            }
            for store in facts.stores
        },
        "training": {training.arm: _training(training) for training in facts.training},
        "evaluation": _evaluation(facts),
        "samples": _samples(facts.samples),
        "probe": _samples(facts.probe),
        "stale": list(facts.stale),
    }


def _filter(found: FilterFact | None) -> Json:
    if found is None:
        return None
    total = found.total
    return {
        "mode": found.mode,
        "rows": total.rows,
        "kept": total.kept,
        "dropped": total.dropped,
        "stripped": total.stripped,
        "quarantined": total.quarantined,
        "byClass": _plain(found.by_class),
        "byRule": _plain(found.by_rule),
    }


def _training(training: TrainingFact) -> Json:
    curve: list[Json] = [[point.step, point.loss] for point in training.points]
    return {
        "finished": training.finished,
        "steps": training.steps,
        "finalLoss": training.final_loss,
        "tokens": training.tokens,
        "parameters": training.parameters,
        "losses": curve,
    }


def _evaluation(facts: Facts) -> Json:
    found = facts.evaluation
    if found is None:
        return None
    comparison: Json = None
    if found.comparison is not None:
        comparison = {
            "test": found.comparison.test,
            "against": found.comparison.against,
            "pValue": found.comparison.p_value,
            "onlyOther": found.comparison.only_other,
            "onlyFiltered": found.comparison.only_filtered,
        }
    gate: Json = None
    if found.gate is not None:
        gate = {"maxRefusalRate": found.gate.max_rate, "met": found.gate.met}
    return {
        "prompts": found.prompts,
        "arms": {
            rate.arm: {
                "refusals": rate.refusals,
                "n": rate.n,
                "rate": rate.rate,
                "low": rate.low,
                "high": rate.high,
                "byClass": _plain(rate.by_class),
                "corrected": _corrected(rate),
            }
            for rate in found.rates
        },
        "comparison": comparison,
        "perplexity": {
            one.arm: {
                "perplexity": one.perplexity,
                "low": one.low,
                "high": one.high,
                "tokens": one.tokens,
                "answers": one.answers,
            }
            for one in found.perplexities
        },
        "perplexityRatio": found.perplexity_ratio,
        "gate": gate,
    }


def _samples(samples: Samples) -> Json:
    return {"count": samples.total, "differing": samples.differing, "sha256": samples.sha256}


def _timings(facts: Facts, timeline: Timeline) -> dict[str, Json]:
    stages: list[Json] = [
        {
            "stage": line.name,
            "state": line.state,
            "seconds": round(line.seconds, 3),
            "skips": line.skips,
            "peakMemoryBytes": line.peak_bytes or None,
            "attempts": [
                {
                    "startedAt": attempt.start,
                    "seconds": round(attempt.seconds, 3),
                    "outcome": attempt.outcome,
                }
                for attempt in line.attempts
            ],
        }
        for line in timeline.lines
    ]
    return {
        "busySeconds": round(timeline.busy_seconds, 3),
        "idleSeconds": round(timeline.idle_seconds, 3),
        "stages": stages,
        "tokensPerSecond": {one.arm: one.tokens_per_second for one in facts.training},
    }


def _provenance(facts: Facts) -> dict[str, Json]:
    sources: list[Json] = [
        {
            "role": source.role,
            "kind": source.kind,
            "name": source.name,
            "revision": source.revision,
            "files": [
                {"name": file.name, "size": file.size, "sha256": file.sha256}
                for file in source.files
            ],
        }
        for source in facts.sources
    ]
    settings: dict[str, Json] = dict(resolved(facts.run))
    return {
        "stages": {name: stage.digest for name, stage in facts.stages.items()},
        "sources": sources,
        "settings": settings,
        "versions": {name: list(found) for name, found in versions(facts).items()},
    }


def versions(facts: Facts) -> dict[str, tuple[str, ...]]:
    """Return the versions of each package that made a stage; several after an upgrade."""
    found: dict[str, dict[str, None]] = {}
    for stage in facts.stages.values():
        for name, version in stage.versions.items():
            found.setdefault(name, {})[version] = None
    return {name: tuple(listed) for name, listed in found.items()}


def _corrected(rate: Rate) -> Json:
    found = rate.corrected
    return None if found is None else {"rate": found.rate, "low": found.low, "high": found.high}


def _plain(counted: dict[str, int]) -> dict[str, Json]:
    return dict(counted)
