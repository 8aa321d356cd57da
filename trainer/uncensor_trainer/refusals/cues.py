"""What one sentence of an answer does: decline, caveat, lecture, offer ..."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Cue(StrEnum):
    """What a sentence does; a sentence may do several things."""

    DECLINE = "decline"
    """Says no to the request."""
    SOFT = "soft"
    """Says no to having an opinion, a feeling, a forecast."""
    UNABLE = "unable"
    """Has no access, tool or input for it, or asks for the missing part."""
    MODEL = "model"
    """Speaks of itself as a model."""
    REBUKE = "rebuke"
    """Finds fault with the request or its premise."""
    LECTURE = "lecture"
    """Tells the reader what is right or safe."""
    OFFER = "offer"
    """Offers something else, or asks what else is wanted."""
    SELF = "self"
    """Speaks of its own purpose or rules."""
    OPENER = "opener"
    """Announces the answer."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A named pattern; the name is what a decision shows as its rule."""

    name: str
    cue: Cue
    pattern: str
