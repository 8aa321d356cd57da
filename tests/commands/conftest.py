"""Tests of the commands on a real cluster."""

from cluster.fixtures import cluster, namespace, pytest_runtest_makereport, run_namespace
from support.runs_on_cluster import command, runs

__all__ = [
    "cluster",
    "command",
    "namespace",
    "pytest_runtest_makereport",
    "run_namespace",
    "runs",
]
