"""Tests of the harness itself; the fixtures are in `fixtures.py` for other folders, too."""

from cluster.fixtures import cluster, namespace, pytest_runtest_makereport

__all__ = ["cluster", "namespace", "pytest_runtest_makereport"]
