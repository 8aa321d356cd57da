"""Report: everything that a run left, on one page that needs no network.

Writes index.html for people, report.json for programs and picture.svg for a README. What a run
does not have (a control arm, an evaluation, a filter) is left out of all three.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from uncensor_trainer.progress import Json
from uncensor_trainer.report.collect import collect
from uncensor_trainer.report.page import render
from uncensor_trainer.report.picture import picture
from uncensor_trainer.report.results import report_json
from uncensor_trainer.report.timeline import timeline
from uncensor_trainer.report.verdict import verdict
from uncensor_trainer.workspace import write_json

if TYPE_CHECKING:
    from uncensor_trainer.run import StageContext


def run(context: StageContext, out: Path) -> dict[str, Json]:
    """Write the report and return its verdict."""
    facts = collect(context.run, context.workspace)
    times = timeline(facts)
    (out / "index.html").write_text(render(facts, times), encoding="utf-8")
    write_json(out / "report.json", report_json(facts, times))
    drawn = picture(facts)
    if drawn is not None:
        (out / "picture.svg").write_text(drawn, encoding="utf-8")
    return {"verdict": verdict(facts)}
