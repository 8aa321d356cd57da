"""`uncensor-trainer --run-file PATH --stage NAME`: one stage, as the operator starts it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def main() -> None:
    """Parse the arguments and run the stage."""
    parser = argparse.ArgumentParser(prog="uncensor-trainer", description=__doc__)
    parser.add_argument("--run-file", type=Path, required=True, help="run.json, the contract")
    parser.add_argument("--stage", required=True, help="which stage to run")
    arguments = parser.parse_args()
    # A stage reads what fetch left on the workspace; only fetch may ask a hub.
    if arguments.stage != "fetch":
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from uncensor_trainer.run import main as run  # noqa: PLC0415 - --help answers at once

    message = os.environ.get("UNCENSOR_TERMINATION_MESSAGE")
    sys.exit(run(arguments.run_file, arguments.stage, Path(message) if message else None))


if __name__ == "__main__":
    main()
