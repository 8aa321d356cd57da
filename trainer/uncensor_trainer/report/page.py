"""The page: one HTML file that loads nothing, from facts that are read already."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jinja2
from markupsafe import Markup, escape

from uncensor_trainer.report import charts, curves, words
from uncensor_trainer.report.facts import Example, Facts, FilterFact, Samples
from uncensor_trainer.report.results import versions
from uncensor_trainer.report.settings import resolved
from uncensor_trainer.report.svg import Figure
from uncensor_trainer.report.timeline import OTHER_SETTINGS, Attempt, StageLine, Timeline
from uncensor_trainer.report.verdict import remarks, tiles, verdict

NO_BREAK_SPACE = "\u00a0"
SHOWN_RULES = 12
LONGEST_MESSAGE = 300
OPENING = 500  # characters of a long answer that are open


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the rows that came in."""

    kind: str
    label: str
    rows: int


@dataclass(frozen=True, slots=True)
class ClassRow:
    """What the filter found of one class, and what happened to those rows."""

    name: str
    meaning: str
    action: str
    rows: int
    actions: tuple[tuple[str, int], ...]
    examples: tuple[Example, ...]


def render(facts: Facts, timeline: Timeline) -> str:
    """Return the whole document."""
    loss = [curves.curve(one.arm, one.points) for one in facts.training if one.points]
    rates = facts.evaluation.rates if facts.evaluation else ()
    titles = words.arm_titles(facts)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            facts=facts,
            run=facts.run,
            titles=titles,
            verdict=verdict(facts),
            remarks=remarks(facts),
            tiles=tiles(facts, timeline.busy_seconds),
            bars=charts.refusal_bars(rates, titles) if rates else None,
            classes=_answer_classes(facts),
            loss=charts.loss_curves(loss, titles) if loss else None,
            curves=loss,
            parts=_parts(facts.filter),
            class_rows=_class_rows(facts),
            timeline=timeline,
            tracks=_tracks(timeline),
            samples=_differing_first(facts.samples),
            sample_arms=_arms_of(facts.samples),
            probe=facts.probe,
            probe_arms=_arms_of(facts.probe),
            settings=_grouped(resolved(facts.run)),
            versions=versions(facts),
            words=words,
            shown_rules=SHOWN_RULES,
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("uncensor_trainer.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["nobreak"] = nobreak
    environment.filters["marked"] = marked
    environment.filters["opening"] = opening
    environment.filters["told"] = told
    environment.filters["identifier"] = identifier
    return environment


def nobreak(text: str) -> str:
    """Return text whose numbers stay with their unit."""
    for mark in (" %", " = ", " < "):
        text = text.replace(mark, mark.replace(" ", NO_BREAK_SPACE))
    return text


def told(line: StageLine) -> str:
    """Return what is worth knowing of a stage beside its bar: attempts, skips, memory."""
    parts = []
    if len(line.attempts) > 1 or (line.attempts and line.state != "complete"):
        ends = ", then ".join(_ending(attempt) for attempt in line.attempts)
        parts.append(f"{words.plural(len(line.attempts), 'attempt')}: {ends}")
    if line.attempts and line.state == OTHER_SETTINGS:
        parts.append(line.state)
    if line.skips:
        parts.append("was complete when the run went on")
    if line.peak_bytes:
        parts.append(f"peak memory {words.size(line.peak_bytes)}")
    return " \u00b7 ".join(parts)


def _ending(attempt: Attempt) -> str:
    message = f" ({attempt.message[:LONGEST_MESSAGE]})" if attempt.message else ""
    return f"{attempt.told}{message}"


def opening(text: str) -> str:
    """Return the beginning of a long text, up to the end of a word where there is one."""
    start = text[:OPENING]
    words_only = start.rsplit(None, 1)[0]
    return words_only if len(words_only) > OPENING // 2 else start


def identifier(text: str) -> Markup:
    """Return a long name that may break where a person would break it."""
    escaped = escape(text)
    for mark in ("/", ".", "_", "-"):
        escaped = Markup(mark + "<wbr>").join(escaped.split(mark))  # noqa: S704 - ours
    return escaped


def marked(example: Example) -> Markup:
    """Return an answer with the words that the rule saw highlighted."""
    response = example.response
    start = min(max(0, example.start), len(response))
    end = min(max(start, example.end), len(response))
    if start == end:
        return escape(response)
    return Markup("{}<mark>{}</mark>{}").format(
        response[:start], response[start:end], response[end:]
    )


def _answer_classes(facts: Facts) -> tuple[str, ...]:
    """Return the classes that any arm's answers have, plain answers first."""
    if facts.evaluation is None:
        return ()
    found = {name for rate in facts.evaluation.rates for name in rate.by_class}
    known = ["none", *(name for name in words.CLASS_MEANINGS if name != "none")]
    return tuple(sorted(found, key=lambda n: (known.index(n) if n in known else len(known), n)))


def _parts(found: FilterFact | None) -> tuple[Part, ...]:
    if found is None:
        return ()
    total = found.total
    parts = (
        Part("kept", "kept as they were", total.kept - total.stripped),
        Part("stripped", "kept, caveat or turns cut out", total.stripped),
        Part("dropped", "dropped", total.dropped),
        Part("quarantined", "unreadable, set aside", total.quarantined),
    )
    return tuple(part for part in parts if part.rows > 0)


def _class_rows(facts: Facts) -> tuple[ClassRow, ...]:
    found = facts.filter
    if found is None:
        return ()
    wanted = {str(key): str(value) for key, value in facts.run.filter.actions.items()}
    return tuple(
        ClassRow(
            name=name,
            meaning=words.CLASS_MEANINGS.get(name, ""),
            action=wanted.get(name, "keep") if found.mode == "enforce" else "keep",
            rows=rows,
            actions=tuple((act, n) for (cls, act), n in found.actions.items() if cls == name),
            examples=tuple(e for e in found.examples if e.answer_class == name),
        )
        for name, rows in found.by_class.items()
    )


def _tracks(timeline: Timeline) -> tuple[tuple[StageLine, Figure], ...]:
    return tuple((line, charts.attempts_track(line.attempts, timeline)) for line in timeline.lines)


def _differing_first(samples: Samples) -> Samples:
    """Return the same samples in the order in which they are worth reading."""
    ordered = sorted(samples.shown, key=lambda sample: not sample.differs)
    return replace(samples, shown=tuple(ordered))


def _arms_of(samples: Samples) -> tuple[str, ...]:
    """Return the arms that answered, in the order of the first answers."""
    return tuple(dict.fromkeys(a.arm for sample in samples.shown for a in sample.answers))


def _grouped(flat: dict[str, str]) -> dict[str, dict[str, str]]:
    groups: dict[str, dict[str, str]] = {}
    for name, value in flat.items():
        groups.setdefault(name.split(".")[0].split("[")[0], {})[name] = value
    return groups
