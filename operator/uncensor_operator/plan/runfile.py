"""From the manifest to the run file: every setting resolved, nothing left to guess."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from uncensor_operator.api import outcome, running, sources, training, v1alpha1
from uncensor_operator.errors import UncensorError
from uncensor_trainer import runfile


def on_this_machine(gpus: int) -> runfile.Compute:
    """Return one node with a process for each GPU, or one process on the CPU."""
    return runfile.Compute(nodes=1, processes_per_node=max(1, gpus), gpus_per_node=gpus)


def on_cluster(compute: running.Compute) -> runfile.Compute:
    """Return the nodes that a manifest asks for."""
    gpus = compute.gpus_per_node
    return runfile.Compute(nodes=compute.nodes, processes_per_node=max(1, gpus), gpus_per_node=gpus)


def resolve(
    manifest: v1alpha1.UncensorTraining,
    *,
    workspace: Path | str,
    compute: runfile.Compute,
    largest_micro_batch: int | None = None,
) -> runfile.RunFile:
    """Return the run file, still without its stages (see `pipeline`).

    Args:
        manifest: a valid manifest without what `unsupported` names.
        workspace: absolute path of the workspace.
        compute: what the training runs on.
        largest_micro_batch: rows a process may handle at once, when that is less than the manifest
            says; the global batch stays as it is.

    Raises:
        UncensorError: the global batch cannot be divided among the processes.
    """
    spec = manifest.spec
    batch = _Batch(
        _global_batch(spec.training, spec.compute),
        min(spec.training.micro_batch_size, largest_micro_batch or spec.training.micro_batch_size),
    )
    return runfile.RunFile(
        run=manifest.metadata.name,
        workspace=str(workspace),
        stages=(),
        model=_source(spec.model, "model"),
        datasets=tuple(_dataset(one) for one in spec.datasets),
        filter=_filter(spec.filter),
        training=_training(spec.training, batch, compute),
        probe=_probe(spec.probe),
        evaluation=_evaluation(spec.evaluation),
        reporting=_reporting(spec.reporting),
        compute=compute,
    )


def _source(source: sources.Source, repo_type: str) -> runfile.Source:
    if source.hugging_face is not None:
        return runfile.HubSource(
            repo=source.hugging_face.repo,
            revision=source.hugging_face.revision,
            files=source.hugging_face.files,
            repo_type="model" if repo_type == "model" else "dataset",
        )
    if source.http is not None:
        one = source.http
        return runfile.HttpSource(url=one.url, sha256=one.sha256, filename=one.filename)
    if source.package is not None:
        shipped = source.package
        return runfile.PackageSource(name=shipped.name, version=shipped.version, file=shipped.file)
    assert source.path is not None  # noqa: S101 - one-of, and S3 is refused before planning
    return runfile.PathSource(path=source.path)


def _input(source: sources.InputSource) -> runfile.Source | None:
    return None if source.bundled else _source(source, "dataset")


def _dataset(dataset: sources.Dataset) -> runfile.Dataset:
    return runfile.Dataset(
        name=dataset.name,
        source=_source(dataset, "dataset"),
        format=dataset.format,
        max_rows=dataset.max_rows,
    )


def _filter(settings: training.Filter) -> runfile.FilterSettings:
    return runfile.FilterSettings(
        mode=settings.mode,
        actions={name: getattr(settings.actions, name) for name in get_args(runfile.RefusalClass)},
        extra_rules=tuple(
            runfile.ExtraRule(
                name=rule.name, refusal_class=rule.refusal_class, pattern=rule.pattern
            )
            for rule in settings.extra_rules
        ),
        max_drop_fraction=float(settings.max_drop_fraction),
    )


def _global_batch(settings: training.Training, compute: running.Compute) -> int:
    """Rows of an optimizer step: of the cluster that the manifest describes, kept everywhere."""
    if settings.global_batch_size is not None:
        return settings.global_batch_size
    processes = compute.nodes * max(1, compute.gpus_per_node)
    return settings.micro_batch_size * settings.gradient_accumulation_steps * processes


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows of an optimizer step, and the most of them that a process handles at once."""

    whole: int
    micro: int


def _training(
    settings: training.Training, batch: _Batch, compute: runfile.Compute
) -> runfile.TrainingSettings:
    micro, accumulation = split_batch(batch.whole, batch.micro, compute.world_size)
    return runfile.TrainingSettings(
        method=settings.method,
        lora=runfile.LoraSettings(
            rank=settings.lora.rank,
            alpha=settings.lora.alpha,
            target_modules=_modules(settings.lora.target_modules),
        ),
        template=settings.template,
        epochs=float(settings.epochs),
        max_length=settings.max_length,
        micro_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        learning_rate=float(settings.learning_rate),
        # Transformers' plain `constant` leaves the warm-up out.
        schedule="constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        warmup_steps=settings.warmup_steps,
        weight_decay=float(settings.weight_decay),
        max_grad_norm=float(settings.max_grad_norm),
        precision=settings.precision,
        gradient_checkpointing=settings.gradient_checkpointing,
        packing=settings.packing,
        torch_compile=settings.torch_compile,
        liger_kernels=settings.liger_kernels,
        seed=settings.seed,
        deepspeed=runfile.DeepSpeedSettings(
            # The API bounds it; Kubernetes enums are of strings only.
            stage=cast(Literal[0, 1, 2, 3], settings.deepspeed.stage),
            offload=settings.deepspeed.offload,
        ),
        checkpoints=runfile.CheckpointSettings(
            every_steps=settings.checkpoints.every_steps,
            every_minutes=settings.checkpoints.every_minutes,
            keep_latest=settings.checkpoints.keep_latest,
        ),
        validation_fraction=float(settings.validation_fraction),
        control=settings.control,
    )


def split_batch(global_batch: int, micro: int, world: int) -> tuple[int, int]:
    """Return micro-batch and accumulation steps whose product with `world` is the global batch.

    The micro-batch is the largest one up to `micro` that divides what each process gets.

    Raises:
        UncensorError: the processes cannot share the global batch evenly.
    """
    share, rest = divmod(global_batch, world)
    if rest:
        fitting = [n for n in range(world, 0, -1) if global_batch % n == 0]
        raise UncensorError(
            f"A global batch of {global_batch} rows cannot be divided among {world} processes. "
            f"Set training.globalBatchSize to a multiple of {world}, or use "
            f"{' or '.join(str(n) for n in fitting[:3])} processes (CUDA_VISIBLE_DEVICES)."
        )
    for size in range(min(micro, share), 0, -1):
        if share % size == 0:
            return size, share // size
    raise AssertionError("1 divides everything")


def _modules(names: str) -> str | tuple[str, ...]:
    return names if names == "all-linear" else tuple(names.split(","))


def _probe(probe: v1alpha1.Probe) -> runfile.ProbeSettings:
    return runfile.ProbeSettings(input=_input(probe.input), max_new_tokens=probe.max_new_tokens)


def _evaluation(evaluation: outcome.Evaluation) -> runfile.EvaluationSettings:
    baseline, limit = evaluation.baseline, evaluation.gates.max_refusal_rate
    refusal = evaluation.refusal
    return runfile.EvaluationSettings(
        baseline=_source(baseline, "model") if baseline is not None else None,
        refusal=runfile.RefusalEvaluation(
            prompts=_input(refusal.prompts),
            max_new_tokens=refusal.max_new_tokens,
            batch_size=refusal.batch_size,
        ),
        perplexity_answers=_input(evaluation.perplexity.answers),
        max_refusal_rate=float(limit) if limit is not None else None,
    )


def _reporting(reporting: outcome.Reporting | None) -> runfile.Reporting:
    """Return the sinks without their secrets, which reach the pod as files."""
    if reporting is None:
        return runfile.Reporting()
    wandb, trackio = reporting.wandb, reporting.trackio
    board, mlflow = reporting.tensorboard, reporting.mlflow
    return runfile.Reporting(
        tensorboard=runfile.TensorBoard(flush_seconds=board.flush_seconds) if board else None,
        wandb=runfile.Wandb(project=wandb.project, entity=wandb.entity) if wandb else None,
        trackio=runfile.Trackio(project=trackio.project, space=trackio.space) if trackio else None,
        mlflow=runfile.MlFlow(tracking_uri=mlflow.tracking_uri, experiment=mlflow.experiment)
        if mlflow
        else None,
    )
