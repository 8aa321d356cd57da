"""The manifests of a few runs, written down; a change of them shows in the review.

PYTHONPATH=tests python -m support.goldens
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from support.driving import SUMMARIES
from support.simulation import Simulation, a_spec, settings_with
from uncensor_operator.plan.outcome import Create

FOLDER = Path(__file__).parents[1] / "plan" / "golden"
HUB = {"repo": "owner/model", "revision": "main"}
SECRET = {"name": "hub", "key": "token"}


def on_cpus() -> Simulation:
    """One node without a GPU, everything by default."""
    return Simulation()


def on_gpus() -> Simulation:
    """Two whole A100 nodes on AKS, Kueue, a token, a mirror of the hub, a pull secret."""
    settings = settings_with(
        trainerImage={"reference": "registry/trainer@sha256:1", "pullSecrets": ["registry"]},
        fetching={
            "hubEndpoint": "https://hub.example.org",
            "environment": {"HTTPS_PROXY": "http://proxy:3128"},
        },
        priorityClass="training",
    )
    spec = a_spec(
        model={"huggingFace": {**HUB, "tokenSecretRef": SECRET}},
        compute={"pool": "a100-80gb", "nodes": 2, "gpusPerNode": 4},
        workspace={"storageClassName": "azurefile", "retain": False},
    )
    sim = Simulation(spec, settings)
    sim.run["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "gpus", "team": "a"}
    return sim


# Runs, and the stages of which the children are written down.
RUNS: dict[str, tuple[Callable[[], Simulation], tuple[str, ...]]] = {
    "cpus": (on_cpus, ("train",)),
    "gpus": (on_gpus, ("fetch", "train", "evaluate")),
}
STAGES = ("fetch", "filter", "prepare", "train", "probe", "evaluate", "report")


def created(sim: Simulation) -> list[dict[str, Any]]:
    """Return everything that the operator creates until a run has succeeded, in order."""
    found: list[dict[str, Any]] = []
    for stage in STAGES:
        found += _passes(sim)
        name = sim.stage(stage)["child"]
        sim.start(name)
        found += _passes(sim)
        sim.complete(name, SUMMARIES.get(stage))
    assert not _passes(sim)
    assert sim.status["phase"] == "Succeeded"
    return found


def _passes(sim: Simulation) -> Iterable[dict[str, Any]]:
    made = []
    for _ in range(20):
        writes = sim.writes
        wanted = sim.once()
        made += [dict(step.manifest) for step in wanted.steps if isinstance(step, Create)]
        if sim.writes == writes and not wanted.steps:
            return made
    raise AssertionError("still busy")


def text(manifests: Iterable[dict[str, Any]], *stages: str) -> str:
    """Return what a run has beside its children, and the children of some stages, as YAML.

    Digests and the release are left out: they change with things that other tests hold.
    """
    shown = [one for one in manifests if stage_of(one) in ("", *stages)]
    return "---\n".join(yaml.dump(_without_digests(one), Dumper=_Plain, width=100) for one in shown)


def stage_of(manifest: dict[str, Any]) -> str:
    """Return the stage of a child; empty for what belongs to the whole run."""
    return str(manifest["metadata"]["labels"].get("uncensor.dev/stage", ""))


class _Plain(yaml.SafeDumper):
    """Without anchors: every manifest can be read by itself."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _without_digests(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "<...>" if key in _VARYING else _without_digests(one) for key, one in value.items()
        }
    if isinstance(value, list):
        return [_without_digests(one) for one in value]
    return re.sub(r"-run-[0-9a-f]{10}$", "-run-<...>", value) if isinstance(value, str) else value


_VARYING = ("uncensor.dev/input-digest", "uncensor.dev/operator-version", "run.json")


if __name__ == "__main__":
    for name, (run, shown) in RUNS.items():
        (FOLDER / f"{name}.yaml").write_text(text(created(run()), *shown))
