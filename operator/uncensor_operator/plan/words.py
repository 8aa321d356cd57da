"""Sentences that fit the fields of the API, without what must not be shown."""

from __future__ import annotations

import re

LONGEST = 2000
# Access tokens of hubs, clouds and HTTP, should a library have printed one.
_SECRETS = re.compile(
    r"\b(hf_[A-Za-z0-9]{8,}|AKIA[A-Z0-9]{12,}|gh[pousr]_[A-Za-z0-9]{20,})\b"
    r"|(?<=Bearer )[^\s\"']{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def cut(text: str, longest: int = LONGEST) -> str:
    """Return a message without secrets and control characters, cut to what the API takes."""
    # Half a surrogate pair, which JSON can spell, is no character that UTF-8 could carry.
    text = text.encode(errors="replace").decode()
    clean = _CONTROL.sub(" ", _SECRETS.sub("[redacted]", text)).strip()
    return clean if len(clean) <= longest else f"{clean[: longest - 1].rstrip()}…"


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    whole = round(seconds)
    if whole < 90:  # noqa: PLR2004 - up to there, seconds read better
        return f"{whole} s"
    minutes, hours = whole // 60, whole / 3600
    return f"{minutes} min" if hours < 1.5 else f"{hours:.1f} h"  # noqa: PLR2004 - likewise
