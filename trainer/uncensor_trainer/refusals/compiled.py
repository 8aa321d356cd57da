"""Hyperscan databases, kept on disk: compiling the rules takes seconds, loading them milliseconds.

A database fits one version of hyperscan and one kind of processor; it checks both itself when it
is loaded, and what does not fit is compiled anew. The folder is the user's own; without a place to
write, every process compiles.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

_REVISION = b"1"


def database(hyperscan: ModuleType, patterns: Sequence[bytes], flag: int) -> Any:
    """Return the compiled patterns, numbered from 0, all with the same flag."""
    place = _folder() / f"{_digest(hyperscan, patterns, flag)}.hs"
    with suppress(OSError, hyperscan.error):
        kept = hyperscan.loadb(place.read_bytes(), hyperscan.HS_MODE_BLOCK)
        kept.scratch = hyperscan.Scratch(kept)  # working memory; only `compile` makes it itself
        return kept
    found = hyperscan.Database()
    found.compile(
        expressions=list(patterns),
        ids=list(range(len(patterns))),
        flags=[flag] * len(patterns),
    )
    with suppress(OSError):
        _keep(place, hyperscan.dumpb(found))
    return found


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "uncensor" / "patterns"


def _digest(hyperscan: ModuleType, patterns: Sequence[bytes], flag: int) -> str:
    parts = (_REVISION, hyperscan.__version__.encode(), str(flag).encode(), *patterns)
    return hashlib.sha256(b"".join(b"%d:%s" % (len(part), part) for part in parts)).hexdigest()


def _keep(place: Path, data: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = place.with_suffix(f".part-{os.getpid()}")
    part.write_bytes(data)
    part.replace(place)  # whole or not at all, whoever else is writing it
