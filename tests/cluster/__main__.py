"""The test cluster for people: `python -m cluster up|down|status|prepare`, from tests/."""

from __future__ import annotations

import argparse
import signal
import sys
import time

from cluster import checkout, images, lifecycle, programs
from cluster.clusters import Shape
from cluster.errors import ClusterError


def main() -> int:
    """Run a command; the exit code is 1 for what went wrong, 3 for `status` of no cluster."""
    # A shell starts its background jobs deaf to it; whoever interrupts a cluster means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = parser().parse_args()
    try:
        return int(options.command(options))
    except ClusterError as error:
        print(error, file=sys.stderr)  # noqa: T201 - this is a command line
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the cluster is gone.", file=sys.stderr)  # noqa: T201
        return 130


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    whole.add_argument("--name", default="dev", help="tells clusters on one machine apart")
    commands = whole.add_subparsers(required=True)
    start = commands.add_parser("up", help="start a cluster and print its kubeconfig")
    start.add_argument("--nodes", type=int, default=1, choices=range(1, 9), metavar="1-8")
    start.add_argument("--control-plane-only", action="store_true", help="no real nodes")
    start.add_argument("--kwok", action="store_true", help="let kwok play fake nodes")
    start.set_defaults(command=up)
    commands.add_parser("down", help="end it, leave nothing").set_defaults(command=down)
    commands.add_parser("status", help="say what runs").set_defaults(command=status)
    fill = commands.add_parser("prepare", help="build and fetch everything")
    fill.add_argument("--if-possible", action="store_true", help="do nothing where it cannot run")
    fill.set_defaults(command=make)
    return whole


def up(options: argparse.Namespace) -> int:
    began = time.monotonic()
    nodes = 0 if options.control_plane_only else options.nodes
    cluster = lifecycle.up(options.name, Shape(nodes, kwok=options.kwok), say)
    cluster.keep()
    say(f"{options.name} is up ({cluster.shape}) after {time.monotonic() - began:.0f} s")
    say(f"kubectl is {cluster.programs.path('kubectl')}")
    print(f"export KUBECONFIG={cluster.kubeconfig}")  # noqa: T201
    return 0


def down(options: argparse.Namespace) -> int:
    existed = lifecycle.down(options.name)
    say(f"{options.name} is down" if existed else f"no cluster {options.name} runs")
    return 0


def status(options: argparse.Namespace) -> int:
    facts = lifecycle.status(options.name)
    if facts is None:
        say(f"no cluster {options.name} runs")
        return 3
    for name, code in facts.pop("programs").items():
        print(f"{name:28} {'runs' if code is None else f'ended with {code}'}")  # noqa: T201
    for name, value in facts.items():
        print(f"{name}: {value}")  # noqa: T201
    return 0


def make(options: argparse.Namespace) -> int:
    if reason := lifecycle.obstacle():
        if options.if_possible:
            say(reason)
            return 0
        raise ClusterError(reason)
    images.sow(programs.prepare(say), [*checkout.product(say)], say)
    return 0


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
