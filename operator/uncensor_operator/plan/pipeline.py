"""Which stages a run has, in which order, and the digest of what decides each one's output.

A digest covers exactly what can change a stage's output, so that editing the evaluation never
repeats the training. It chains through the digests before it. Upstream outputs are not hashed:
equal inputs give equal outputs, which is what the stages promise.

    fetch -> filter -> prepare -> train ---------> probe ----+-> report
                               `-> train-control -> evaluate -'
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping

from uncensor_operator.names import StageName
from uncensor_trainer.progress import Json
from uncensor_trainer.runfile import STAGE_REVISIONS, RunFile, StagePlan

# Settings of training that change when or how state is kept or computed, never which model comes
# out. The three batch settings count as their product.
_NO_INFLUENCE = frozenset(
    {
        "control",
        "checkpoints",
        "gradient_checkpointing",
        "packing",
        "torch_compile",
        "liger_kernels",
        "micro_batch_size",
        "gradient_accumulation_steps",
        "template",
        "max_length",
        "validation_fraction",
    }
)

Fingerprints = Mapping[str, str]


def with_stages(run: RunFile, fingerprints: Fingerprints) -> RunFile:
    """Return the run file with its stages, in the order in which they run.

    Args:
        run: everything but the stages.
        fingerprints: content of what lies on this machine, by role ("model", "dataset/<name>",
            "bundled/<file>"); a role that is absent counts by its source alone.
    """
    digests = _Digests(run, fingerprints)
    names = [StageName.FETCH, StageName.FILTER, StageName.PREPARE, StageName.TRAIN]
    if run.training.control:
        names.append(StageName.TRAIN_CONTROL)
    names += [StageName.PROBE, StageName.EVALUATE, StageName.REPORT]
    stages = tuple(
        StagePlan(name=name.value, digest=digests.of(name), needs=_needs(name, names))
        for name in names
    )
    return run.model_copy(update={"stages": stages})


def downstream(run: RunFile, stage: str) -> tuple[str, ...]:
    """Return the stage and every stage that builds on it, in order."""
    found = {stage}
    for plan in run.stages:
        if found & set(plan.needs):
            found.add(plan.name)
    return tuple(plan.name for plan in run.stages if plan.name in found)


def upstream(run: RunFile, stages: tuple[str, ...]) -> tuple[str, ...]:
    """Return the stages and everything that they need, in order."""
    found = set(stages)
    for plan in reversed(run.stages):
        if plan.name in found:
            found |= set(plan.needs)
    return tuple(plan.name for plan in run.stages if plan.name in found)


def _needs(name: StageName, names: list[StageName]) -> tuple[str, ...]:
    arms: tuple[StageName, ...] = (StageName.TRAIN, StageName.TRAIN_CONTROL)
    models = [one for one in arms if one in names]
    wanted: dict[StageName, list[StageName]] = {
        StageName.FETCH: [],
        StageName.FILTER: [StageName.FETCH],
        StageName.PREPARE: [StageName.FETCH, StageName.FILTER],
        StageName.TRAIN: [StageName.PREPARE],
        StageName.TRAIN_CONTROL: [StageName.PREPARE],
        StageName.PROBE: models,
        StageName.EVALUATE: models,
        StageName.REPORT: [one for one in names if one is not StageName.REPORT],
    }
    return tuple(one.value for one in wanted[name])


class _Digests:
    """The digest of each stage of one run."""

    def __init__(self, run: RunFile, fingerprints: Fingerprints) -> None:
        self._run = run
        self._fingerprints = fingerprints

    def of(self, name: StageName) -> str:
        parts: dict[StageName, Callable[[], Json]] = {
            StageName.FETCH: self._sources,
            StageName.FILTER: self._filter,
            StageName.PREPARE: lambda: [self._tokens(), self._run.training.control],
            StageName.TRAIN: lambda: [self._tokens(), self._training()],
            StageName.TRAIN_CONTROL: lambda: [self._tokens(), self._training(), "control"],
            StageName.PROBE: self._probe,
            StageName.EVALUATE: self._evaluate,
            StageName.REPORT: self._everything,
        }
        return _sha256([name.value, STAGE_REVISIONS[name.value], parts[name]()])

    def _source(self, role: str, source: object) -> Json:
        """A source is what the manifest says, and what the machine shows of it."""
        dumped: Json = source.model_dump(mode="json") if source is not None else None  # type: ignore[attr-defined]
        return [dumped, self._fingerprints.get(role)]

    def _models(self) -> Json:
        run = self._run
        return [
            self._source("model", run.model),
            self._source("baseline", run.evaluation.baseline),
        ]

    def _data(self) -> Json:
        return [self._source(f"dataset/{one.name}", one.source) for one in self._run.datasets]

    def _inputs(self) -> dict[str, Json]:
        run = self._run
        return {
            "probe": self._source("probe", run.probe.input),
            "prompts": self._source("prompts", run.evaluation.refusal.prompts),
            "answers": self._source("answers", run.evaluation.perplexity_answers),
        }

    def _sources(self) -> Json:
        return [self._models(), self._data(), self._inputs()]

    def _filter(self) -> Json:
        shapes: Json = [[one.name, one.format, one.max_rows] for one in self._run.datasets]
        return [self._data(), shapes, self._run.filter.model_dump(mode="json")]

    def _tokens(self) -> Json:
        """What decides the tokens of an arm; a control arm more or less changes nothing here."""
        training = self._run.training
        return [
            self.of(StageName.FILTER),
            self._source("model", self._run.model),
            training.template,
            training.max_length,
            training.validation_fraction,
            training.seed,
        ]

    def _training(self) -> Json:
        training = self._run.training
        settings: dict[str, Json] = training.model_dump(mode="json", exclude=set(_NO_INFLUENCE))
        return {**settings, "global_batch_size": self._run.global_batch_size}

    def _arms(self) -> Json:
        arms = [self.of(StageName.TRAIN)]
        if self._run.training.control:
            arms.append(self.of(StageName.TRAIN_CONTROL))
        return [*arms, self._source("baseline", self._run.evaluation.baseline)]

    def _probe(self) -> Json:
        inputs = self._inputs()["probe"]
        bundled = self._fingerprints.get("bundled/probe.jsonl")
        return [self._arms(), inputs, bundled, self._run.probe.model_dump(mode="json")]

    def _evaluate(self) -> Json:
        inputs = self._inputs()
        bundled: Json = [
            self._fingerprints.get("bundled/refusal_prompts.jsonl"),
            self._fingerprints.get("bundled/clean_answers.jsonl"),
        ]
        settings: Json = self._run.evaluation.model_dump(mode="json")
        return [self._arms(), inputs["prompts"], inputs["answers"], bundled, settings]

    def _everything(self) -> Json:
        return [self.of(name) for name in (StageName.FETCH, StageName.PROBE, StageName.EVALUATE)]


def _sha256(value: Json) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
