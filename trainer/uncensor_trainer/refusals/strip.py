"""Takes the caveat off an answer and leaves a well-formed one."""

from __future__ import annotations

import re
from functools import partial

from uncensor_trainer.refusals.classes import Verdict
from uncensor_trainer.refusals.text import plain_text

_REACH = 700
_LINK_REACH = 100  # characters: two words and marks
# These see one sentence and have nothing to repeat, so `re` is as safe here as RE2, whose Python
# wrapper takes five times as long.
_compiled = partial(re.compile, flags=re.ASCII)
# Ends of a caveat, looked for from its start: the word that announces the answer, or its sentence.
_ANSWER_IN_SENTENCE = _compiled(
    r"[,;] ?(?:but|however|though|yet)\b,? ?(?:that said,? |in general,? )?"
)
# ruff: noqa: RUF001 - full-width marks are meant
_SENTENCE_END = _compiled(r"[.!?。！？][\"')\]]*(?:\s+|\Z)|\n+")
_PLAIN_LABEL = _compiled(r"^(?:well, |sure[,!.] )?(?:as|being) (?:an? )?[^,.!?\n]{2,60},\s*")
_LINK = _compiled(
    r"^(?:but|however|that said|that being said|with that said|having said that|still|"
    r"nevertheless|nonetheless|yet|"
    r"instead|therefore|so)\b,? ?"
)
_SAYS_NO = _compiled(
    r"\b(?:not|n't|cannot|unable|no|never|without|lack|neutral|impartial|unbiased)\b|n't\b"
)
_SHORTEST_ANSWER = 12


def stripped(response: str, verdict: Verdict) -> str:
    """Return the answer without the caveat at its start, capitalised again.

    "As a model, I can explain X" loses its label only; a caveat that says what a model lacks goes
    up to "but" or to the end of its sentence, with a dangling "However," after it. An answer that
    would be left with nothing comes back unchanged.
    """
    head, body = response[: verdict.start], response[verdict.start :]
    rest = _without_link(body[_end_of_caveat(body) :])
    if len(rest.strip()) < _SHORTEST_ANSWER:
        return response
    return head.lstrip() + rest[0].upper() + rest[1:]


def _end_of_caveat(body: str) -> int:
    text = plain_text(body, _REACH)
    sentence = _SENTENCE_END.search(text.plain)
    end = sentence.end() if sentence else len(text.plain)
    first = text.plain[:end]
    turn = _ANSWER_IN_SENTENCE.search(first)
    if turn and _SAYS_NO.search(first[: turn.start()]):
        end = turn.end()
    elif not _SAYS_NO.search(first) and (label := _PLAIN_LABEL.search(first)):
        end = label.end()
    return text.origin(end)


def _without_link(rest: str) -> str:
    trimmed = rest.lstrip(" ,;\n\t\r")
    text = plain_text(trimmed, _LINK_REACH)
    link = _LINK.search(text.plain)
    return trimmed[text.origin(link.end()) :].lstrip() if link else trimmed
