from pathlib import Path

import pytest

from cluster import programs
from cluster.fixtures import leave_out
from support.charts import Helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The helm of the test cluster's cache."""
    program: Path = programs.parts()["helm"].path
    if not program.exists():
        leave_out("helm is not built yet: run `make cluster-prepare` (once, minutes)")
    return Helm(program, tmp_path_factory.mktemp("helm"))
