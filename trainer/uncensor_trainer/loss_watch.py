"""What the losses so far say about a step: fine, in doubt, or broken.

A step is broken at once when its loss or gradient norm is not a finite number. It is in doubt
when its loss lies far above the recent ones; several of those in a row are a divergence, from
which a training rarely comes back by itself. One bad batch alone changes nothing.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from uncensor_trainer.guards import FiniteGuard
from uncensor_trainer.progress import Json

RECENT = 64  # losses to compare with
ENOUGH = 16  # fewer say nothing yet
SPREADS = 8.0  # so many standard deviations above the median are no noise
RISE = 0.5  # and so much of the median, where the losses hardly differ
IN_A_ROW = 3
MAX_ROLL_BACKS = 3
DEVIATIONS_OF_MAD = 1.4826  # standard deviation of a normal distribution, in median deviations


class Verdict(Enum):
    """What is to be thought of a step."""

    FINE = auto()
    IN_DOUBT = auto()
    BROKEN = auto()


class LossWatch:
    """Judges every step of a training; sees the same numbers on every process.

    Attributes:
        first_bad: the first step of the bad ones in a row, or None.
        roll_backs: (step gone back to, step gone back from) so far.
    """

    def __init__(self, *, fp16: bool) -> None:
        self._finite = FiniteGuard(fp16=fp16)
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._bad = 0
        self.first_bad: int | None = None
        self.roll_backs: list[tuple[int, int]] = []

    @property
    def in_doubt(self) -> bool:
        """Whether the last step was not fine: nothing to come back to."""
        return self.first_bad is not None

    @property
    def may_go_back(self) -> bool:
        """Whether going back is still worth a try."""
        return len(self.roll_backs) < MAX_ROLL_BACKS

    def judge(self, step: int, loss: float, grad_norm: float) -> Verdict:
        """Return the verdict on a step, and remember it."""
        finite = not self._finite.is_broken(loss, grad_norm)
        if finite and not self._is_spike(loss):
            self._recent.append(loss)
            self._bad, self.first_bad = 0, None
            return Verdict.FINE
        self._bad += 1
        self.first_bad = self.first_bad or step
        return Verdict.BROKEN if not finite or self._bad >= IN_A_ROW else Verdict.IN_DOUBT

    def went_back(self, to: int, step: int) -> None:
        """Remember a roll-back."""
        self.roll_backs.append((to, step))
        self._bad, self.first_bad = 0, None

    def state(self) -> dict[str, Json]:
        """Return what a resumed training must know to judge alike."""
        return {
            "recent": list(self._recent),
            "bad": self._bad,
            "firstBad": self.first_bad,
            "rollBacks": [list(pair) for pair in self.roll_backs],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from saved state."""
        self._recent = deque(state["recent"], maxlen=RECENT)
        self._bad, self.first_bad = state["bad"], state["firstBad"]
        self.roll_backs = [(to, step) for to, step in state["rollBacks"]]

    def _is_spike(self, loss: float) -> bool:
        if len(self._recent) < ENOUGH:
            return False
        median = statistics.median(self._recent)
        deviation = statistics.median(abs(one - median) for one in self._recent)
        noise = SPREADS * DEVIATIONS_OF_MAD * deviation
        return not math.isfinite(loss) or loss > median + max(noise, RISE * abs(median))
