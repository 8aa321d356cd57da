"""The claim of a run: made when it is missing, owned or kept, never replaced once it was used."""

from __future__ import annotations

from dataclasses import replace

from uncensor_operator.api.status import Status, WorkspaceStatus
from uncensor_operator.api.v1alpha1 import Spec
from uncensor_operator.names import Reason
from uncensor_operator.plan import belongings
from uncensor_operator.plan.drafting import Draft
from uncensor_operator.plan.naming import owner
from uncensor_operator.plan.outcome import Create, Patch, Step
from uncensor_operator.plan.placement import Obstacle
from uncensor_operator.plan.world import World
from uncensor_operator.quantities import quantity_bytes


def with_claim(world: World, spec: Spec, draft: Draft) -> Draft:
    """The claim: made when it is missing, owned by the run exactly when it shall go with it."""
    found = world.claim
    if found is None:
        situation = draft.situation
        wanted = situation.current is not None and situation.ended is None
        wanted = wanted and claim_lost(world, draft.status) is None
        missing = spec.workspace.existing_claim is None and wanted
        made: tuple[Step, ...] = (
            (Create(belongings.claim(world.manifest, spec)),) if missing else ()
        )
        return replace(draft, steps=(*draft.steps, *made))
    steps: tuple[Step, ...] = ()
    if found.ours and found.owned == spec.workspace.retain:
        owners = [] if spec.workspace.retain else [owner(world.manifest)]
        steps = (
            Patch("PersistentVolumeClaim", found.name, {"metadata": {"ownerReferences": owners}}),
        )
    capacity = quantity_bytes(found.capacity) if found.capacity else None
    workspace = WorkspaceStatus(
        claim=found.name, folder=f"runs/{world.name}", capacity_bytes=capacity
    )
    status = draft.status.model_copy(update={"workspace": workspace})
    bound = "" if found.phase == "Bound" else None
    situation = replace(draft.situation, workspace=bound)
    return replace(draft, status=status, situation=situation, steps=(*draft.steps, *steps))


def claim_lost(world: World, status: Status) -> Obstacle | None:
    """A new, empty volume would silently begin a training anew that took weeks."""
    known = status.workspace.claim if status.workspace else None
    begun = any(one.attempts for one in status.stages)
    if world.claim is not None or known is None or not begun:
        return None
    return Obstacle(
        Reason.WORKSPACE_FAILURE,
        f"The claim {known} was deleted, and with it what the run had saved. Restore the volume "
        "and a claim of this name, or create a new run.",
    )
