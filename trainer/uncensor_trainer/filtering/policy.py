"""What happens to a conversation: its classes, and the action that each class asks for."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from uncensor_trainer.data.formats import Message
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json
from uncensor_trainer.refusals.classes import STRENGTH, AnswerClass, Verdict
from uncensor_trainer.refusals.engine import classify_many, stripped
from uncensor_trainer.refusals.user_rules import UserRule, first_match

CLASSES = tuple(name.value for name in AnswerClass if name is not AnswerClass.NONE)
ACTIONS = ("drop", "cut", "drop-turn", "strip", "keep")
"""What a class may ask for, the strongest first."""
MODES = ("enforce", "audit")
DEFAULT_ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "refusal": "drop",
        "partial": "keep",
        "moralise": "drop",
        "placeholder": "drop",
        "capability": "keep",
        "disclaimer": "strip",
        "identity": "keep",
    }
)
_RULE_FIELDS = {"name", "class", "pattern"}
_TOGETHER = 2048  # turns that are classified together; a normal block has fewer in question


Verdicts = tuple[tuple[int, Verdict], ...]
"""(turn, verdict) of flagged answers."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of the user's own, in RE2 syntax, matched without regard to case in answers."""

    name: str
    refusal_class: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do with flagged rows.

    Attributes:
        mode: `enforce` acts; `audit` decides the same classes and keeps every row.
        actions: one of `ACTIONS` for each class: drop the row, cut the conversation before the
            question, drop the question with its answer, strip the caveat, keep.
        rules: patterns of the user's own; they decide before everything else.
        by_hand: keep or drop, for rows about which a person decided, by their `row_hash`.
        shows: whether flagged rows are to be kept for a report to show.
    """

    mode: str = "enforce"
    actions: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_ACTIONS))
    rules: tuple[UserRule, ...] = ()
    by_hand: Mapping[str, str] = field(default_factory=dict)
    shows: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one row, and why.

    Attributes:
        action: drop, cut, strip or keep; a row that lost a turn anywhere is cut.
        verdicts: (turn, verdict) of every flagged answer; a turn is a 0-based message.
        texts: the new text of each stripped turn.
        removed: turns that go, questions and answers.
        by_hand: a person decided, whatever the policy says.
    """

    action: str = "keep"
    verdicts: Verdicts = ()
    texts: Mapping[int, str] = field(default_factory=dict)
    removed: tuple[int, ...] = ()
    by_hand: bool = False

    @property
    def strongest(self) -> Verdict:
        """The verdict that names the row's class; only flagged rows have one."""
        return min((v for _, v in self.verdicts), key=lambda v: STRENGTH[v.answer_class])

    def as_json(self, index: int) -> dict[str, Json]:
        """Return the line of decisions.jsonl."""
        reasons: list[Json] = [
            {
                "class": verdict.answer_class.value,
                "rule": verdict.rule,
                "start": verdict.start,
                "end": verdict.end,
                "turn": turn,
                "score": verdict.score,
            }
            for turn, verdict in self.verdicts
        ]
        entry: dict[str, Json] = {
            "index": index,
            "action": self.action,
            "class": self.strongest.answer_class.value if self.verdicts else "none",
            "reasons": reasons,
        }
        if self.removed:
            entry["removed"] = list(self.removed)
        if self.by_hand:
            entry["byHand"] = True
        return entry


CLEAN = Decision()


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of a conversation.

    Attributes:
        number: 0-based place among the messages.
        question: what was asked, with its input if there is one.
        answer: what was answered.
        is_anchored: whether the screen is sure of what `classify_many` calls anchored.
    """

    number: int
    question: str
    answer: str
    is_anchored: bool = False


def decide(messages: Sequence[Message], policy: Policy) -> Decision:
    """Return what happens to a conversation."""
    verdicts = verdicts_of(turns_of(messages), policy.rules)
    return decision_of(messages, verdicts, policy) if verdicts else CLEAN


def verdicts_of(turns: Iterable[Turn], rules: Sequence[UserRule]) -> Verdicts:
    """Return (turn, verdict) of every flagged answer."""
    return verdicts_of_many([list(turns)], rules)[0]


def verdicts_of_many(
    rows: Sequence[Sequence[Turn]], rules: Sequence[UserRule]
) -> Sequence[Verdicts]:
    """Return the same for many rows: all their answers are classified together."""
    every = list(itertools.chain.from_iterable(rows))
    starts = range(0, len(every), _TOGETHER)
    found = itertools.chain.from_iterable(
        _classified(every[start : start + _TOGETHER], rules) for start in starts
    )
    return [
        tuple(
            (t.number, verdict)
            for t, verdict in zip(turns, found, strict=False)
            if verdict.is_flagged
        )
        for turns in rows
    ]


def _classified(turns: Sequence[Turn], rules: Sequence[UserRule]) -> Sequence[Verdict]:
    pairs = [(turn.question, turn.answer) for turn in turns]
    anchored = {number for number, turn in enumerate(turns) if turn.is_anchored}
    return classify_many(pairs, rules, anchored)


def decision_of(messages: Sequence[Message], verdicts: Verdicts, policy: Policy) -> Decision:
    """Return what the policy makes of a conversation's verdicts.

    Dropping one answer drops the row; so does whatever would leave no answer. Everything weaker
    happens together: the rest is cut off, single turns go, caveats are stripped.
    """
    keep = Decision("keep", verdicts)
    wishes = {turn: policy.actions[verdict.answer_class.value] for turn, verdict in verdicts}
    if policy.mode == "audit":
        return keep
    if "drop" in wishes.values():
        return replace(keep, action="drop")
    removed = _removed(len(messages), wishes)
    left = {n for n, message in enumerate(messages) if message.role == "assistant"} - set(removed)
    if not left:
        return replace(keep, action="drop")
    texts = {
        turn: text
        for turn, verdict in verdicts
        if wishes[turn] == "strip" and turn in left
        if (text := stripped(messages[turn].content, verdict)) != messages[turn].content
    }
    action = "cut" if removed else "strip" if texts else "keep"
    return replace(keep, action=action, texts=texts, removed=removed)


def _removed(count: int, wishes: Mapping[int, str]) -> tuple[int, ...]:
    """Return the messages that go; a question goes with its answer."""
    gone = {n for turn, wish in wishes.items() if wish == "drop-turn" for n in (turn - 1, turn)}
    if cuts := [turn for turn, wish in wishes.items() if wish == "cut"]:
        gone.update(range(min(cuts) - 1, count))
    return tuple(sorted(gone))


def turns_of(messages: Iterable[Message]) -> Iterator[Turn]:
    """Yield the answers of a conversation with what they answer."""
    question = ""
    for number, message in enumerate(messages):
        if message.role == "user":
            question = f"{message.content}\n{message.input}" if message.input else message.content
        elif message.role == "assistant":
            yield Turn(number, question, message.content)


def checked(policy: Policy) -> Policy:
    """Return the policy with an action for every class.

    Raises:
        InvalidInput: a word is unknown, or a pattern is not valid RE2.
    """
    if policy.mode not in MODES:
        raise InvalidInput(f"The mode is {policy.mode!r}; want one of {', '.join(MODES)}.")
    for name, action in policy.actions.items():
        _check_class(name, "actions")
        if action not in ACTIONS:
            raise InvalidInput(
                f"The action of {name} is {action!r}; want one of {', '.join(ACTIONS)}."
            )
    for rule in policy.rules:
        _check_class(rule.refusal_class, f"rule {rule.name!r}")
        first_match((rule,), "")  # compiles it, or says what is wrong
    return replace(policy, actions={**DEFAULT_ACTIONS, **policy.actions})


def _check_class(name: str, where: str) -> None:
    if name not in CLASSES:
        raise InvalidInput(f"{where}: {name!r} is no class; the classes are {', '.join(CLASSES)}.")


def actions_from(text: str) -> dict[str, str]:
    """Read "refusal=drop,disclaimer=strip".

    Raises:
        InvalidInput: a part is not CLASS=ACTION, or names one that there is not.
    """
    actions: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, sign, action = (word.strip() for word in part.partition("="))
        if not sign:
            raise InvalidInput(f"--actions: {part!r} is not CLASS=ACTION, such as refusal=drop.")
        if name in actions:
            raise InvalidInput(f"--actions: {name} is given twice.")
        actions[name] = action
    checked(Policy(actions=actions))
    return actions


def rules_from(path: Path) -> tuple[Rule, ...]:
    """Read a list of {name, class, pattern} in YAML or JSON.

    Raises:
        InvalidInput: the file is not readable, or not such a list.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        problem = str(error).replace("\n", " ")
        raise InvalidInput(f"The rules in {path} cannot be read: {problem}") from error
    if not isinstance(found, list):
        raise InvalidInput(f"{path} holds no list of rules; want items of name, class, pattern.")
    return tuple(_rule(path, number, item) for number, item in enumerate(found, start=1))


def _rule(path: Path, number: int, item: object) -> Rule:
    if not isinstance(item, dict) or set(item) != _RULE_FIELDS:
        raise InvalidInput(f"{path}, rule {number}: want exactly name, class and pattern.")
    name, refusal_class, pattern = item["name"], item["class"], item["pattern"]
    for value in (name, refusal_class, pattern):
        if not isinstance(value, str) or not value:
            raise InvalidInput(f"{path}, rule {number}: name, class and pattern must be text.")
    rule = Rule(name, refusal_class, pattern)
    checked(Policy(rules=(rule,)))
    return rule


@cache
def warm() -> None:
    """Compile every pattern now, so that processes forked later share the compiled ones."""
    examples = (
        "I'm sorry, but it is illegal and I cannot help.",
        "Lo siento, pero no puedo ayudarte.",
    )
    classify_many([("What is this?", example) for example in examples])
