"""What the API can say, but this version cannot do: refused, never ignored."""

from __future__ import annotations

from collections.abc import Iterator

from uncensor_operator.api.problems import Problem
from uncensor_operator.api.v1alpha1 import Source, Spec, UncensorTraining

_NOT_YET = "this version does not have it yet"


def unsupported(training: UncensorTraining) -> tuple[Problem, ...]:
    """Return one problem for each field that asks for what this version does not have."""
    spec = training.spec
    return tuple(
        Problem(path, message)
        for found in (_stages(spec), _settings(spec), _places(spec))
        for path, message in found
    )


def _stages(spec: Spec) -> Iterator[tuple[str, str]]:
    """Yield what needs a stage that is not there."""
    for index, layer in enumerate(spec.alignment):
        yield (
            f"spec.alignment[{index}]",
            f"asks for the alignment layer {layer.name}; {_NOT_YET}: take it out, and train the "
            "layer on the finished model",
        )
    if spec.publish is not None:
        yield (
            "spec.publish",
            f"asks to upload the model; {_NOT_YET}: take it out, and upload the folder of the "
            "finished model",
        )


def _settings(spec: Spec) -> Iterator[tuple[str, str]]:
    """Yield settings that no stage would follow."""
    if spec.evaluation.benchmarks:
        yield (
            "spec.evaluation.benchmarks",
            f"asks for {', '.join(spec.evaluation.benchmarks)}; {_NOT_YET}: set [], and run "
            "lm-eval on the finished model",
        )
    if spec.evaluation.task_path is not None:
        yield (
            "spec.evaluation.taskPath",
            f"names tasks for benchmarks; {_NOT_YET}: take it out",
        )
    if spec.evaluation.gates.max_benchmark_drop is not None:
        yield (
            "spec.evaluation.gates.maxBenchmarkDrop",
            f"needs benchmarks; {_NOT_YET}: take it out, or use maxRefusalRate",
        )


def _places(spec: Spec) -> Iterator[tuple[str, str]]:
    """Yield sources that cannot be fetched from."""
    for path, source in _sources(spec):
        if source.s3 is not None:
            yield (
                f"{path}.s3",
                f"names an S3 bucket; {_NOT_YET}: use huggingFace, http, path or package",
            )
    for path, model in (("spec.model", spec.model), ("spec.evaluation.baseline", _baseline(spec))):
        if model is not None and model.http is not None:
            yield (
                f"{path}.http",
                f"names one file, but a model has several; {_NOT_YET}: use huggingFace, or a "
                "folder by path",
            )


def _sources(spec: Spec) -> Iterator[tuple[str, Source]]:
    yield "spec.model", spec.model
    for index, dataset in enumerate(spec.datasets):
        yield f"spec.datasets[{index}]", dataset
    yield "spec.probe.input", spec.probe.input
    yield "spec.evaluation.refusal.prompts", spec.evaluation.refusal.prompts
    yield "spec.evaluation.perplexity.answers", spec.evaluation.perplexity.answers
    if spec.evaluation.baseline is not None:
        yield "spec.evaluation.baseline", spec.evaluation.baseline


def _baseline(spec: Spec) -> Source | None:
    return spec.evaluation.baseline
