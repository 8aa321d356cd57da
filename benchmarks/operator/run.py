"""The operator's figures on a real control plane; see README.md here for how to read them.

    .venv/bin/python benchmarks/operator/run.py latency   # first and next child; a PyTorchJob
    .venv/bin/python benchmarks/operator/run.py idle      # writes, CPU and memory at rest
    .venv/bin/python benchmarks/operator/run.py scale     # 1,000 runs at once, and a restart
    .venv/bin/python benchmarks/operator/run.py peer      # 1,000 PyTorchJobs; also --limits raised

Each starts a cluster of its own (tests/cluster: root on Linux, `make cluster-prepare`), measures,
writes benchmarks/results/operator-<what>.json and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

# The harness is not installed: it belongs to the tests.
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("latency", "idle", "scale", "peer", "recovery"))
    parser.add_argument(
        "--number", type=int, help="runs or jobs (idle: finished runs); each has its own default"
    )
    parser.add_argument("--pairs", type=int, default=10, help="latency: runs beside PyTorchJobs")
    parser.add_argument("--seconds", type=float, default=310, help="idle: length of the window")
    parser.add_argument(
        "--limits", choices=("default", "raised"), default="default", help="peer: its own flags"
    )
    arguments = parser.parse_args()
    importlib.import_module(arguments.what).measure(arguments)


if __name__ == "__main__":
    main()
