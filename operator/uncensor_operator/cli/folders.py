"""Which runs a folder holds: a workspace with several, or the folder of one."""

from __future__ import annotations

from pathlib import Path

from uncensor_operator.errors import UncensorError
from uncensor_operator.local.runner import RUN_FILE
from uncensor_trainer.workspace import Workspace


def find_runs(folder: Path) -> list[Workspace]:
    """Return the runs in a folder, by name.

    Raises:
        UncensorError: there is none.
    """
    folder = folder.absolute()
    if (folder / RUN_FILE).is_file():
        return [Workspace(folder.parent.parent, folder.name)]
    found = sorted((folder / "runs").glob(f"*/{RUN_FILE}"))
    if not found:
        raise UncensorError(
            f"{folder} holds no run. Wanted: a workspace (a folder with runs/) or the folder of "
            "one run. `uncensor run FILE --workspace DIR` makes one; a run of a cluster is meant "
            "with -n NAMESPACE."
        )
    return [Workspace(folder, path.parent.name) for path in found]
