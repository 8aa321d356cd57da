"""Loss curves as they are drawn: smoothed, thinned, and without the spikes that hide the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uncensor_trainer.report.facts import Point

MOST_POINTS = 400
# The raw line may leave the frame with its highest points, else one spike flattens everything.
FRAMED_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class Curve:
    """One arm's losses, ready to draw.

    Attributes:
        arm: whose losses they are.
        points: the steps drawn, at most MOST_POINTS.
        smooth: an exponential moving average at each of `points`; None before the first loss.
        top: the highest loss that must be inside the frame; None without any finite loss.
        broken: steps whose loss was not a finite number, of all steps.
    """

    arm: str
    points: tuple[Point, ...]
    smooth: tuple[float | None, ...]
    top: float | None
    broken: tuple[int, ...]

    @property
    def losses(self) -> tuple[float, ...]:
        """The finite losses drawn."""
        return tuple(point.loss for point in self.points if point.loss is not None)

    @property
    def framed(self) -> tuple[float, ...]:
        """The values that decide the frame."""
        if self.top is None:
            return ()
        averages = [value for value in self.smooth if value is not None]
        return (min(*self.losses, self.top), self.top, *averages)


def curve(arm: str, points: Sequence[Point]) -> Curve:
    """Return the curve of an arm's logged steps."""
    averages = smoothed([point.loss for point in points])
    kept = _thinned(len(points))
    drawn = tuple(points[index] for index in kept)
    finite = sorted(point.loss for point in drawn if point.loss is not None)
    top = finite[int(FRAMED_SHARE * (len(finite) - 1))] if finite else None
    return Curve(
        arm=arm,
        points=drawn,
        smooth=tuple(averages[index] for index in kept),
        top=top,
        broken=tuple(point.step for point in points if point.loss is None),
    )


def smoothed(losses: Sequence[float | None]) -> list[float | None]:
    """Return an exponential moving average, corrected for its short start.

    Its memory is a fifteenth of the run, so that long and short runs look alike; a loss that is
    not finite leaves the average where it was.
    """
    weight = 1 - 1 / max(1.0, len(losses) / 15)
    total = norm = 0.0
    averages: list[float | None] = []
    for loss in losses:
        if loss is not None:
            total = weight * total + (1 - weight) * loss
            norm = weight * norm + (1 - weight)
        averages.append(total / norm if norm else None)
    return averages


def _thinned(length: int) -> list[int]:
    """Return the places to keep, evenly spread, the first and the last among them."""
    if length <= MOST_POINTS:
        return list(range(length))
    return sorted({round(n * (length - 1) / (MOST_POINTS - 1)) for n in range(MOST_POINTS)})
