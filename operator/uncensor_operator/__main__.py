"""`uncensor-operator`: the process of the operator.

Order: settings, the port of health and metrics, the cluster, the Lease, then the engine. Whatever
goes wrong for good ends the process, because a restart is cheap and a half-dead operator is not.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from uncensor_operator import telemetry
from uncensor_operator.cluster.client import Client, connect
from uncensor_operator.cluster.lease import Lease, LeaseLostError
from uncensor_operator.errors import UncensorError
from uncensor_operator.handlers.engine import Engine
from uncensor_operator.release import release
from uncensor_operator.settings import Settings, read_settings
from uncensor_operator.telemetry import Pulse

LOG = logging.getLogger(__name__)
STANDBY_PATIENCE = 60.0


def main() -> None:
    """Run until told to stop."""
    parser = argparse.ArgumentParser(prog="uncensor-operator", description=__doc__)
    parser.add_argument("--version", action="version", version=release())
    parser.add_argument("--settings", type=Path, help="settings file; see the chart's values")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING"))
    arguments = parser.parse_args()
    logging.basicConfig(
        level=arguments.log_level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("kopf", "aiohttp", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        sys.exit(asyncio.run(_run(arguments.settings)))
    except UncensorError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


async def _run(settings_file: Path | None) -> int:
    settings = read_settings(settings_file)
    pulse = Pulse()
    runner = await telemetry.serve(pulse, settings.http_port)
    client = await connect(settings.engine.request_seconds)
    stopping: list[str] = []

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _stop, work, number, stopping)

    work = asyncio.create_task(_lead(client, settings, pulse, take_signals), name="operator")
    take_signals()
    try:
        await work
    except asyncio.CancelledError:
        if not stopping:
            LOG.error("cancelled by nobody known; ending, to begin anew")  # noqa: TRY400
            return 1
        LOG.info("stopped by %s", " and ".join(stopping))
        return 0
    except LeaseLostError as error:
        LOG.error("%s", error)  # noqa: TRY400 - no fault with a trace
        return 1
    finally:
        await client.close()
        await runner.cleanup()
    return 1


def _stop(work: asyncio.Task[None], number: int, stopping: list[str]) -> None:
    stopping.append(signal.Signals(number).name)
    work.cancel()


async def _lead(
    client: Client, settings: Settings, pulse: Pulse, take_signals: Callable[[], None]
) -> None:
    """Wait for the Lease, then work for as long as it is ours."""
    instance = os.environ.get("POD_NAME") or socket.gethostname()
    engine = Engine(client, settings, pulse, instance, take_signals)
    if not settings.election.enabled:
        pulse.ready = True
        telemetry.LEADER.set(1)
        await engine.run()
        return
    namespace = os.environ.get("POD_NAMESPACE", "default")
    # A container that restarts in the same pod is another process, and must not take itself for it.
    identity = f"{instance}-{secrets.token_hex(4)}"
    lease = Lease(client, namespace, identity, settings.election)
    pulse.expect("lease", STANDBY_PATIENCE)
    pulse.ready = True
    await lease.acquire(on_try=lambda: pulse.beat("lease"))
    del pulse.patience["lease"]
    LOG.info("leading as %s, release %s", identity, release())
    telemetry.LEADER.set(1)
    await _while_leading(engine, lease)


async def _while_leading(engine: Engine, lease: Lease) -> None:
    keeping = asyncio.create_task(lease.keep(), name="lease")
    working = asyncio.create_task(engine.run(), name="engine")
    try:
        done, _ = await asyncio.wait({keeping, working}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        # First nothing is written any more, then others may.
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        keeping.cancel()
        lost = keeping.done() and not keeping.cancelled() and keeping.exception() is not None
        if not lost:
            await lease.release()


if __name__ == "__main__":
    main()
