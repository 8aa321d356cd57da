"""Times as Kubernetes writes them: RFC 3339 in UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def read_time(text: str | None) -> datetime | None:
    """Return the time that a text names; None for an absent one."""
    return datetime.fromisoformat(text) if text else None


def time_text(moment: datetime) -> str:
    """Return a time as text, cut to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(text: str | None, now: datetime) -> float:
    """Return the seconds between a written time and now; 0 for an absent one."""
    moment = read_time(text)
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0


def later(now: datetime, seconds: float) -> str:
    """Return the time so many seconds from now, as text, never before it is due."""
    return time_text(now + timedelta(seconds=seconds, microseconds=999_999))
