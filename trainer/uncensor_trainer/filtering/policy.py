"""What happens to a conversation: its classes, and the action that each class asks for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from uncensor_trainer.data.formats import Message
from uncensor_trainer.exits import InvalidInput
from uncensor_trainer.progress import Json
from uncensor_trainer.refusals.classes import STRENGTH, AnswerClass, Verdict
from uncensor_trainer.refusals.engine import classify, stripped
from uncensor_trainer.refusals.user_rules import first_match

CLASSES = tuple(name.value for name in AnswerClass if name is not AnswerClass.NONE)
ACTIONS = ("drop", "strip", "keep")
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
        actions: drop, strip or keep, for each class.
        rules: patterns of the user's own; they decide before everything else.
    """

    mode: str = "enforce"
    actions: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_ACTIONS))
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one row, and why.

    Attributes:
        action: drop, strip or keep.
        verdicts: (turn, verdict) of every flagged answer; a turn is a 0-based message.
    """

    action: str = "keep"
    verdicts: tuple[tuple[int, Verdict], ...] = ()

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
        return {
            "index": index,
            "action": self.action,
            "class": self.strongest.answer_class.value,
            "reasons": reasons,
        }


CLEAN = Decision()


def decide(messages: Iterable[Message], policy: Policy) -> Decision:
    """Return what happens to a conversation: its strongest wish of drop, strip and keep."""
    verdicts = []
    question = ""
    for turn, message in enumerate(messages):
        if message.role == "user":
            question = f"{message.content}\n{message.input}" if message.input else message.content
        elif message.role == "assistant":
            verdict = classify(question, message.content, policy.rules)
            if verdict.is_flagged:
                verdicts.append((turn, verdict))
    if not verdicts:
        return CLEAN
    decision = Decision("keep", tuple(verdicts))
    return (
        decision if policy.mode == "audit" else replace(decision, action=_action(verdicts, policy))
    )


def without_caveats(
    messages: Iterable[Message], decision: Decision, policy: Policy
) -> dict[int, str]:
    """Return the new text of every turn that stripping changes; none when nothing would be left."""
    wanted = {turn: v for turn, v in decision.verdicts if _wish(v, policy) == "strip"}
    changed = {}
    for turn, message in enumerate(messages):
        if turn in wanted:
            text = stripped(message.content, wanted[turn])
            if text != message.content:
                changed[turn] = text
    return changed


def _action(verdicts: list[tuple[int, Verdict]], policy: Policy) -> str:
    """Dropping one answer drops the row; stripping one keeps it."""
    wishes = {_wish(verdict, policy) for _, verdict in verdicts}
    return next(action for action in ACTIONS if action in wishes)


def _wish(verdict: Verdict, policy: Policy) -> str:
    return policy.actions[verdict.answer_class.value]


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
    classify("What is this?", "I'm sorry, but I cannot help with that.")
    classify("What is this?", "Lo siento, pero no puedo ayudarte con eso.")
