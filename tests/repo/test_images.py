"""The Dockerfile agrees with the files beside it; what it builds is tested in tests/cluster."""

import re
from pathlib import Path

from cluster import checkout

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def copied() -> set[str]:
    """What the build takes from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    return {name for line in lines for name in line.split()}


def test_the_test_cluster_builds_from_exactly_what_is_copied():
    assert copied() == set(checkout.SOURCES)


def test_everything_copied_is_in_the_context():
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert {name.split("/")[0] for name in copied()} == set(allowed)


def test_both_images_carry_the_version_of_the_project():
    (version,) = re.findall(
        r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert re.findall(r"^ARG VERSION=(.+)", DOCKERFILE, re.MULTILINE) == [version, version]


def test_every_package_that_the_dockerfile_names_is_pinned():
    named = re.findall(r"pip install (?:--\S+ (?:/\S+ )?)*([a-z][\w.=-]*)", DOCKERFILE)
    assert len(named) == 4
    assert all("==" in name for name in named)
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    assert {name for name in named if name.startswith("uv==")} <= set(constraints)


def test_the_images_run_as_the_user_of_the_settings():
    from uncensor_operator.settings import Security

    users = re.findall(r"^USER (.+)", DOCKERFILE, re.MULTILINE)
    assert users == [f"{Security().user}:{Security().group}"] * 2


def test_the_quickstarts_model_is_the_one_of_local_runs():
    makefile = (ROOT / "Makefile").read_text()
    assert f"MODEL_PACKAGE := {checkout.MODEL_PACKAGE}\n" in makefile
