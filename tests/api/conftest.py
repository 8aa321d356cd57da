"""The tables of manifests are judged by a real API server, too, where one can run."""

from cluster.fixtures import cluster, namespace, pytest_runtest_makereport
from support.runs_on_cluster import runs

__all__ = ["cluster", "namespace", "pytest_runtest_makereport", "runs"]
