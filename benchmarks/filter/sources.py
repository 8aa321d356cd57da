"""The labelled and natural answers outside of the repository, and their two halves.

A row belongs to the half that the hash of its prompt says: rules and weights were made on "dev",
"test" was left alone until the end of a phase. Prompts never stand in both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOSTLY_ASCII = 0.97  # of the characters of an English conversation
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Answer:
    """One labelled answer.

    Attributes:
        source: data set, for XSTest with the model.
        label: the set's own word: refusal, comply, partial, redirect, refute ...
    """

    source: str
    prompt: str
    response: str
    label: str

    @property
    def half(self) -> str:
        """dev or test, by the prompt."""
        prompt = "half:" + " ".join(self.prompt.lower().split())
        return "test" if hashlib.sha256(prompt.encode()).digest()[0] % 2 else "dev"

    @property
    def key(self) -> str:
        """A digest to label the answer by, without repeating it."""
        return hashlib.sha256(f"{self.prompt}\x00{self.response}".encode()).hexdigest()[:16]


def labelled() -> Iterator[Answer]:
    """Read chatgpt-refusals, xstest and coconot."""
    for path in sorted((DATA / "refusal").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield Answer(row["source"], row["prompt"], row["response"], row["label"])


def own() -> Iterator[Answer]:
    """Read the rows written by hand for this project."""
    rows = json.loads((Path(__file__).parent / "own.json").read_text(encoding="utf-8"))["rows"]
    for row in rows:
        yield Answer("own", row["instruction"], row["response"], row["label"])


def natural() -> Iterator[Answer]:
    """Read the alpaca_eval answers; nobody labelled them."""
    path = DATA / "instruct" / "alpaca_eval_outputs.alpaca.json"
    for row in json.loads(path.read_text(encoding="utf-8")):
        yield Answer("alpaca_eval", row["instruction"], row["output"], "")


def safety() -> Iterator[Answer]:
    """Read the "safe" answers of safety-tuned-llamas, dense in refusals; nobody labelled them."""
    path = DATA / "instruct" / "safety_tuned_llamas_safety_only.alpaca.json"
    for row in json.loads(path.read_text(encoding="utf-8")):
        yield Answer("safety-tuned-llamas", row["instruction"], row["output"], "")


def moss() -> Iterator[Answer]:
    """Read the English answers of MOSS, turn by turn: never tuned on, kept for judging."""
    path = DATA / "instruct" / "moss_glaive_fastchat.sharegpt.json"
    for conversation in json.loads(path.read_text(encoding="utf-8")):
        if "moss" not in conversation["source"].lower():
            continue
        question = ""
        for turn in conversation["conversations"]:
            if turn["from"] == "human":
                question = turn["value"]
            elif turn["from"] == "gpt" and _is_english(question + turn["value"]):
                yield Answer("MOSS", question, turn["value"], "")


def _is_english(text: str) -> bool:
    return sum(letter < "\x80" for letter in text) >= MOSTLY_ASCII * len(text)


def tool_calls() -> Iterator[Answer]:
    """Read the answers of the tool-call set that lack a tool and say so: capability by design."""
    path = DATA / "instruct" / "moss_glaive_fastchat.sharegpt.json"
    for conversation in json.loads(path.read_text(encoding="utf-8")):
        if "glaive" not in conversation["source"].lower():
            continue
        question = ""
        for turn in conversation["conversations"]:
            if turn["from"] == "human":
                question = turn["value"]
            elif turn["from"] == "gpt" and _lacks_a_tool(turn["value"]):
                yield Answer("glaive", question, turn["value"], "capability")


def _lacks_a_tool(answer: str) -> bool:
    return "sorry" in answer[:20] and "capabilit" in answer[:200]


def family(answer: Answer) -> str:
    """The source without its model: what leave-one-source-out leaves out."""
    return answer.source.split("/")[0]


def is_there() -> bool:
    """Tell whether the data is on this machine."""
    return (DATA / "refusal").is_dir() and (DATA / "instruct").is_dir()
