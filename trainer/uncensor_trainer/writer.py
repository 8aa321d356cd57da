"""One attempt writes an arm's checkpoints at a time: the newest claims, an older one notices.

On a cluster a node can be cut off without being dead. Its pods go on training while the operator,
who cannot see them, starts the next attempt elsewhere; once the network is back, both could commit.
A file with the newest attempt's mark, read right before every commit, keeps the old one out.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from uncensor_trainer.exits import WorkspaceFailure
from uncensor_trainer.workspace import read_json, write_json

FILE = "writer.json"


@dataclass(frozen=True, slots=True)
class Writer:
    """The mark of this attempt; only the main process uses it.

    Attributes:
        folder: of the arm.
        mark: what tells this attempt from every other.
    """

    folder: Path
    mark: str = field(default_factory=lambda: secrets.token_hex(16))

    def claim(self) -> None:
        """Be the one who writes from now on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / FILE, {"mark": self.mark})

    def check(self) -> None:
        """Do nothing while nobody else has claimed the folder.

        Raises:
            WorkspaceFailure: another attempt writes here now.
        """
        found = (read_json(self.folder / FILE) or {}).get("mark")
        if found not in (None, self.mark):
            raise WorkspaceFailure(
                f"Another attempt of this training writes to {self.folder} now; this one ends "
                "without saving. If nobody started it, look for a pod or process that was thought "
                "to be gone."
            )
