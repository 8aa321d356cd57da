"""The audit report: one HTML page that works offline, for the person who trusts or corrects it.

Counts stand in the page; flagged rows lie in it as JSON, and only those of the current page of
results are ever made visible. All texts of the data reach the document as text, never as markup,
and the page's policy (CSP) runs nothing but its own script.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2

from uncensor_trainer.filtering.policy import ACTIONS, CLASSES
from uncensor_trainer.filtering.showing import Shown
from uncensor_trainer.progress import Json

if TYPE_CHECKING:
    from uncensor_trainer.filtering.job import Tally

MOST_ROWS = 2000  # of one class
MOST_CHARACTERS = 24_000_000  # of all rows together: what a browser opens without waiting
MEANINGS = {
    "refusal": "declines, and gives nothing of what was asked",
    "partial": "does a part and declines the rest",
    "moralise": "lectures instead of answering",
    "placeholder": "is empty or a mark such as [filtered]",
    "capability": "cannot rather than will not: a tool or an input is missing, asks back",
    "disclaimer": "puts a caveat about being a model in front of a full answer",
    "identity": "answers a question about the assistant itself",
}
_LOOSER = ("refusal", "placeholder")


class Gallery:
    """The flagged rows that a page shows: the first ones of every class."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.left_out = 0
        self._by_class: Counter[str] = Counter()
        self._size = 0

    def add(self, row: Shown) -> None:
        """Keep a row as long as there is room for its class."""
        name = str(row["class"])
        if self._by_class[name] >= MOST_ROWS or self._size > MOST_CHARACTERS:
            self.left_out += 1
            return
        text = json.dumps(row, ensure_ascii=False)
        self._by_class[name] += 1
        self._size += len(text)
        self.rows.append(text)

    def kept(self) -> dict[str, Any]:
        """Return all of it, for a run that goes on later."""
        return {
            "rows": self.rows, "left_out": self.left_out, "size": self._size,
            "by_class": self._by_class,
        }  # fmt: skip

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Gallery:
        """Return the gallery that `kept` told."""
        gallery = cls()
        gallery.rows, gallery.left_out, gallery._size = kept["rows"], kept["left_out"], kept["size"]
        gallery._by_class = Counter(kept["by_class"])
        return gallery


def page(told: Mapping[str, Json], tally: Tally, gallery: Gallery) -> str:
    """Return the page.

    Args:
        told: the counts, as the JSON report has them.
        tally: the same with what a page needs to compare policies.
        gallery: rows to show.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("uncensor_trainer.filtering"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = files("uncensor_trainer.filtering") / "templates"
    script = (folder / "audit.js").read_text(encoding="utf-8")
    style = (folder / "audit.css").read_text(encoding="utf-8")
    actions = told["actions"]
    assert isinstance(actions, dict)  # noqa: S101 - as_json made it
    wishes = {name: str(action) for name, action in actions.items()}
    return environment.get_template("audit.html.j2").render(
        told=told,
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
        classes=[name for name in CLASSES if tally.by_class[name] or name in wishes],
        meanings=MEANINGS,
        actions=ACTIONS,
        wishes=wishes,
        scores=tally.scores,
        policies=policies(tally, wishes),
        left_out=gallery.left_out,
        shown=len(gallery.rows),
        data=_island(told, tally, gallery, wishes),
    )


def policies(tally: Tally, wishes: Mapping[str, str]) -> list[tuple[str, str, dict[str, int]]]:
    """Return (name, meaning, flagged rows by action) of a looser, this and a stricter policy."""
    looser = {name: "drop" if name in _LOOSER else "keep" for name in CLASSES}
    stricter = dict.fromkeys(CLASSES, "drop")
    return [
        ("looser", "drops refusals and placeholders, keeps all else", _effect(tally, looser)),
        ("as it is", "the actions above", _effect(tally, wishes)),
        ("stricter", "drops whatever is flagged", _effect(tally, stricter)),
    ]


def _effect(tally: Tally, wishes: Mapping[str, str]) -> dict[str, int]:
    counts = dict.fromkeys(ACTIONS, 0)
    for names, rows in tally.combinations.items():
        wanted = {wishes[name] for name in names}
        counts[next(action for action in ACTIONS if action in wanted)] += rows
    return counts


def _island(
    told: Mapping[str, Json], tally: Tally, gallery: Gallery, wishes: Mapping[str, str]
) -> str:
    """Return the data as JSON that can stand in a script element."""
    combinations = [[list(names), rows] for names, rows in sorted(tally.combinations.items())]
    head = json.dumps({
        "actions": ACTIONS, "wishes": dict(wishes), "rows": told["rows"],
        "quarantined": told["quarantined"], "combinations": combinations,
    })  # fmt: skip
    text = head[:-1] + ', "flagged": [' + ",\n".join(gallery.rows) + "]}"
    # No "</script>" or "<!--" comes out of the data; the two separators end lines in old readers.
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
