"""Whether a training fits the memory it will get, known once fetch has seen the model."""

from __future__ import annotations

import math

from uncensor_operator.api.status import Status
from uncensor_operator.api.v1alpha1 import Spec
from uncensor_operator.names import Reason
from uncensor_operator.plan.estimates import Estimate, estimate
from uncensor_operator.plan.observed import DataFacts, Machine, ModelFacts, Observed
from uncensor_operator.plan.placement import Obstacle, training_room
from uncensor_operator.quantities import quantity_of
from uncensor_operator.settings import Pool, gpu_bytes
from uncensor_trainer.runfile import RunFile

# The estimate is an honest order of magnitude; only what is clearly too much is refused.
TOLERANCE = 1.25


def does_not_fit(run: RunFile, pool: Pool, spec: Spec, status: Status) -> Obstacle | None:
    """Return why no training may start; None when it fits, or nothing is known."""
    found = _estimate(run, pool, spec, status)
    if found is None or found.memory_free_bytes == 0:
        return None
    if found.memory_bytes <= found.memory_free_bytes * TOLERANCE:
        return None
    where = "a GPU" if spec.compute.gpus_per_node else "the pod"
    return Obstacle(
        Reason.DOES_NOT_FIT,
        f"The training would need about {quantity_of(found.memory_bytes)} of memory in each "
        f"process, but {where} of pool {pool.name!r} has "
        f"{quantity_of(found.memory_free_bytes)}. Create a run with a smaller "
        "training.microBatchSize or maxLength, more GPUs or nodes with deepspeed.stage 3, "
        "deepspeed.offload, method lora, or another pool.",
    )


def needs_sentence(run: RunFile, pool: Pool, spec: Spec, status: Status) -> str:
    """Return the estimate as a sentence; empty while the model is unknown."""
    found = _estimate(run, pool, spec, status)
    if found is None:
        return ""
    return (
        f"The estimate is {quantity_of(found.memory_bytes)} for each process, of "
        f"{quantity_of(found.memory_free_bytes)}."
    )


def _estimate(run: RunFile, pool: Pool, spec: Spec, status: Status) -> Estimate | None:
    model, data = status.model, status.data
    if model is None:
        return None
    room = training_room(spec, pool)
    processes = max(1, spec.compute.gpus_per_node)
    machine = Machine(
        # A share of a core trains too, and a speed of nothing cannot be divided by.
        cores=max(1, math.ceil(room.cpus)),
        memory_bytes=room.memory // (processes if spec.compute.gpus_per_node == 0 else 1),
        disk_bytes=0,
        gpus=spec.compute.gpus_per_node,
        gpu_memory_bytes=gpu_bytes(pool),
    )
    shape = ModelFacts(model.parameters, model.hidden_size, model.layers, model.vocabulary)
    facts = DataFacts(0, data.rows, data.tokens, data.longest) if data else None
    return estimate(run, Observed(machine=machine, model=shape, data=facts))
