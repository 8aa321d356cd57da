"""What the log of a working pod says: progress, and the newest checkpoint.

The trainer writes one JSON object a line, at most one a second. A short tail is enough: what it no
longer holds is remembered here, and after a restart the status still has it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from uncensor_operator.cluster.client import ApiError, Client
from uncensor_operator.plan.pods import CONTAINER
from uncensor_operator.plan.world import LiveProgress

TAIL_LINES = 40
TAIL_BYTES = 65_536
# A node that does not answer lets every read wait for its timeout: it is asked less often.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
# Beyond it (infinity and what is no number too) nothing of a training can be.
_LARGEST = 1e30
_NUMBERS = {
    "loss": "loss",
    "epoch": "epoch",
    "tokens_per_second": "tokens_per_second",
    "mfu": "mfu",
    "eta_seconds": "eta_seconds",
}


class LogBook:
    """The progress of every pod that was asked for lately."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[str, LiveProgress] = {}
        # By pod: the pause after its last read, which failed, and when that is over.
        self._pauses: dict[str, tuple[float, float]] = {}

    def of(self, uid: str) -> LiveProgress | None:
        """Return what is known about a pod."""
        return self._known.get(uid)

    async def read(self, namespace: str, pod: str, uid: str, *, now: bool = False) -> bool:
        """Read the end of a pod's log; tell whether it says something new.

        `now` reads also in the pause that follows a read which failed.
        """
        pause, until = self._pauses.get(uid, (FIRST_PAUSE / 2, 0.0))
        if not now and self._clock() < until:
            return False
        try:
            text = await self._client.log(
                namespace,
                pod,
                container=CONTAINER,
                tailLines=str(TAIL_LINES),
                limitBytes=str(TAIL_BYTES),
                timestamps="true",
            )
        except ApiError:
            # Not started yet, or gone with its node: the pod itself will tell.
            longer = min(LONGEST_PAUSE, 2 * pause)
            self._pauses[uid] = (longer, self._clock() + longer)
            return False
        self._pauses.pop(uid, None)
        before = self._known.get(uid, LiveProgress(uid))
        after = understood(before, text)
        self._known[uid] = after
        return after != before

    def forget(self, living: set[str]) -> None:
        """Drop what is known about pods that are gone."""
        for known in (self._known, self._pauses):
            for uid in known.keys() - living:
                del known[uid]


def understood(before: LiveProgress, text: str) -> LiveProgress:
    """Return the progress after the lines of a log; broken and foreign lines count as nothing."""
    now = before
    for moment, event in _events(text):
        if event.get("event") == "progress":
            now = _stepped(now, event, moment)
        elif event.get("event") == "checkpoint" and _is_count(event.get("step")):
            now = _saved(now, event["step"], moment)
        elif event.get("event") == "heartbeat" and event.get("phase") != "training":
            # Loading, saving and exporting a large model show no step for long.
            now = replace(now, seen_at=moment or now.seen_at)
        if _is_count(event.get("checkpoint_step")):
            now = _saved(now, event["checkpoint_step"], moment)
    return now


def _is_count(value: object) -> bool:
    """Whether the API takes it for a number of steps."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _events(text: str) -> Iterator[tuple[datetime | None, Mapping[str, Any]]]:
    for line in text.split("\n"):
        stamp, _, body = line.partition(" ")
        if not body.startswith("{"):
            continue
        try:
            event = json.loads(body)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield _moment(stamp), event


def _moment(stamp: str) -> datetime | None:
    """Kubelets write nanoseconds, of which Python reads six digits."""
    try:
        whole, _, rest = stamp.rstrip("Z").partition(".")
        return datetime.fromisoformat(f"{whole}.{rest[:6]:0<6}+00:00")
    except ValueError:
        return None


def _stepped(now: LiveProgress, event: Mapping[str, Any], moment: datetime | None) -> LiveProgress:
    step, total = event.get("step"), event.get("total")
    if not _is_count(step) or (now.step == step and now.total == total):
        return now
    update: dict[str, Any] = {"step": step, "total": total if _is_count(total) else None}
    for name, key in _NUMBERS.items():
        value = event.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            # A loss that is no number is what the trainer ends for; the API could not hold it.
            update[name] = float(value) if abs(value) < _LARGEST else None
    return replace(now, **update, seen_at=moment or now.seen_at)


def _saved(now: LiveProgress, step: int, moment: datetime | None) -> LiveProgress:
    if now.checkpoint is not None and step <= now.checkpoint:
        return now
    return replace(now, checkpoint=step, checkpoint_at=moment)
