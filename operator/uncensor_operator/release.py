"""Which release of the operator this is."""

from __future__ import annotations

import importlib.metadata
from functools import cache


@cache
def release() -> str:
    """Return the version of the installed package."""
    return importlib.metadata.version("uncensor-operator")
