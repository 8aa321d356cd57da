"""Text in columns: the same on a terminal, in a pipe and in a log."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "   "


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line for the heads, then one a row; the last column is never padded or cut."""
    table = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(heads))]
    return [
        GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def one_line(text: str, limit: int = 160) -> str:
    """Return a message on one line, cut with an ellipsis."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."
