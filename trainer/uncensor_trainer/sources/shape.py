"""The shape of a model from its files' headers, without reading a weight."""

from __future__ import annotations

import json
import math
from pathlib import Path

from uncensor_trainer.progress import Json
from uncensor_trainer.workspace import read_json


def model_shape(folder: Path) -> dict[str, int] | None:
    """Return parameters, hidden_size, layers and vocabulary of a model folder.

    None when its configuration does not tell them.
    """
    config = read_json(folder / "config.json")
    if config is None:
        return None
    try:
        return {
            "parameters": _parameters(folder),
            "hidden_size": int(config["hidden_size"]),  # type: ignore[arg-type]
            "layers": int(config["num_hidden_layers"]),  # type: ignore[arg-type]
            "vocabulary": int(config["vocab_size"]),  # type: ignore[arg-type]
        }
    except (KeyError, TypeError, ValueError, OSError):
        return None


def _parameters(folder: Path) -> int:
    """Count numbers from the headers: eight bytes of length, then JSON (the format's own spec)."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as weights:
            length = int.from_bytes(weights.read(8), "little")
            header: dict[str, Json] = json.loads(weights.read(length))
        for tensor in header.values():
            shape = tensor.get("shape") if isinstance(tensor, dict) else None
            if isinstance(shape, list):
                total += math.prod(size for size in shape if isinstance(size, int))
    return total
