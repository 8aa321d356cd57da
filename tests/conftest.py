"""Fixtures of the whole suite: the real cluster, one for all folders of tests."""

pytest_plugins = ["cluster.fixtures"]
