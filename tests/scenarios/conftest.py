"""The operator on a real cluster, with a stunt double in the trainer's place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cluster import outside, stunts
from cluster.clusters import Cluster
from cluster.outside import Outside
from cluster.volumes import RunNamespace
from support.staging import STAGES, Stage


def scenario_settings() -> dict[str, Any]:
    """Small pods, short waits."""
    small = {"cpus": 0.01, "memory": "64Mi"}
    return {
        "trainerImage": {"reference": stunts.STUNT, "pullPolicy": "Never"},
        "pools": [
            {"name": "cpu", "profile": "cpu", "cpus": 0.01, "memory": "64Mi"}
            | {"sharedMemory": "16Mi"},
            {"name": "no-image", "profile": "cpu", "cpus": 0.01, "memory": "64Mi"}
            | {"sharedMemory": "16Mi"}
            | {"image": {"reference": "uncensor.test/no-such:1", "pullPolicy": "Never"}},
            {"name": "nowhere", "profile": "cpu", "nodeLabels": {"no-such": ["label"]}},
            {"name": "gpus", "profile": "aks-a100-80gb"},
        ],
        "defaultPool": "cpu",
        "stages": {name: small for name in STAGES if name != "train"},
        "retries": {"firstSeconds": 1, "longestSeconds": 4},
        "cleaning": {"forceDeleteSeconds": 5, "unreachableSeconds": 5},
        "engine": {"progressSeconds": 1, "resyncSeconds": 20},
        "election": {"leaseSeconds": 9, "renewSeconds": 7, "retrySeconds": 0.5},
    }


@pytest.fixture(scope="session")
def stunt_cluster(cluster: Cluster) -> Cluster:
    """The cluster, with our kind, the operator's account and the double's image."""
    cluster.load(stunts.stunt_archive(cluster.programs).path)
    outside.install(cluster)
    return cluster


@pytest.fixture(scope="module")
def operator(stunt_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """The operator that the scenarios of a module share; one that kills it starts it again.

    Not of the session: another module may install the chart, and two would handle the same runs.
    """
    made = Outside(stunt_cluster, tmp_path_factory.mktemp("operator"), scenario_settings())
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def run(run_namespace: RunNamespace, operator: Outside) -> Stage:
    """A run that is not applied yet, with a workspace."""
    return Stage(run_namespace, run_namespace.volume("run"))
