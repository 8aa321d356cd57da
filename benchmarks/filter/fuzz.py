"""Throw damaged and strange lines at the filter, and compare its quick way with the slow one.

    .venv/bin/python benchmarks/filter/fuzz.py [--cpu-seconds 300] [--seed 1]

Every block must end with rows = kept + dropped + quarantined, the same decisions and the same bytes
whether it is read quickly or line by line with `json`. A finding is printed as the block that made
it and belongs into tests/filtering/test_seeds.py, when the fault is corrected.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator

from uncensor_trainer.filtering import quick
from uncensor_trainer.filtering.lines import Outcome, filter_lines
from uncensor_trainer.filtering.policy import Policy, checked

ANSWERS = (
    "Boil it for ten minutes.",
    "I'm sorry, but I cannot help with that request.",
    "",
    " ",
    "...",
    "As an AI language model, I have no opinions. However, the bridge is 40 metres long and old.",
    "I can\u2019t do that.",
    "caf\u00e9 \U0001f642 \u62b1\u6b49\uff0c\u6211\u65e0\u6cd5\u56de\u7b54",
    'He said "no".\nThen:\n\n* a\n* b',
    "x" * 700,
    "\\" * 30 + "I cannot",
    "[CONTENT_FILTERED]",
    "\n" * 390 + "I cannot help.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "\u200bI cannot do",
    "It is not right to say so. Everyone deserves respect. It is important to be kind. " * 3,
)
SCRAPS = (
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"\r\n",
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00",
    b"\\u006f",
    b'"output":',
    b'"input": null,',
    b'"instruction": "a",',
    b'"messages": [],',
    b"1e5",
    b"NaN",
    b"-",
    b"0" * 70,
    b"9" * 5000,
    b" ",
    b"\t",
    b'"from": "gpt",',
    b"[" * 1200,
    b"null",
    b"\xef\xbb\xbf",
    b"\x0b",
    b"\xe2\x80\xa8",
    b"\\x",
    b"true",
)
POLICIES = tuple(
    checked(Policy(actions=actions))
    for actions in ({}, {"refusal": "cut", "disclaimer": "drop-turn"}, {"refusal": "strip"})
)


def block(dice: random.Random) -> bytes:
    """Return some lines, most of them rows, some of them damaged."""
    shape = dice.choice((_alpaca, _completion, _talk, _messages))
    lines = []
    for _ in range(dice.randrange(1, 14)):
        if dice.random() < 0.05:
            shape = dice.choice((_alpaca, _completion, _talk, _messages))
        line = json.dumps(shape(dice), ensure_ascii=dice.random() < 0.5).encode()
        while dice.random() < 0.25:
            line = _damaged(dice, line)
        lines.append(line + dice.choice((b"\n", b"\n", b"\n", b"\r\n")))
    joined = b"".join(lines)
    return joined if dice.random() < 0.8 else joined[:-1]


def _damaged(dice: random.Random, line: bytes) -> bytes:
    at = dice.randrange(len(line) + 1)
    scrap = dice.choice(SCRAPS)
    kind = dice.randrange(4)
    if kind == 0:
        return line[:at] + scrap + line[at:]
    if kind == 1:
        return line[:at] + line[at + dice.randrange(1, 5) :]
    if kind == 2:
        return line[:at] + scrap + line[at + len(scrap) :]
    return line.replace(dice.choice((b"a", b'"', b": ", b"output", b"value")), scrap, 1)


def _alpaca(dice: random.Random) -> dict[str, object]:
    row: dict[str, object] = {"instruction": "How?", "output": dice.choice(ANSWERS)}
    if dice.random() < 0.5:
        row["input"] = dice.choice(("", "x", None))
    if dice.random() < 0.2:
        row = {"meta": {"output": "x", "n": [1, 2.5, True]}, **row}
    return row


def _completion(dice: random.Random) -> dict[str, object]:
    return {"prompt": dice.choice(("How?", " ")), "completion": dice.choice(ANSWERS)}


def _talk(dice: random.Random) -> dict[str, object]:
    roles = ("human", "gpt")
    turns = [{"from": roles[n % 2], "value": dice.choice(ANSWERS[:8])} for n in range(4)]
    if dice.random() < 0.2:
        turns.insert(0, {"from": "system", "value": "s"})
    return {"conversations": turns}


def _messages(dice: random.Random) -> dict[str, object]:
    roles = ("user", "assistant")
    count = dice.choice((2, 4, 3))
    return {
        "messages": [
            {"role": roles[n % 2], "content": dice.choice(ANSWERS[:8])} for n in range(count)
        ]
    }


def problem(data: bytes, policy: Policy) -> str:
    """Return what is wrong with the way a block is filtered; empty when nothing is."""
    fast = filter_lines(data, policy)
    kept, module = _told(fast), quick.msgspec
    dropped = sum(decision.action == "drop" for _, decision in fast.flagged)
    lines = kept[0].count(b"\n") + (not kept[0].endswith(b"\n") and bool(kept[0]))
    if fast.rows != lines + dropped + len(fast.quarantined):
        return "rows are lost"
    quick.msgspec = None
    try:
        slow = filter_lines(data, policy)
    finally:
        quick.msgspec = module
    return "" if _told(slow) == kept else "the slow way says something else"


def _told(outcome: Outcome) -> tuple[bytes, object, object, int]:
    written = b"".join(map(bytes, outcome.pieces))
    return written, outcome.flagged, outcome.quarantined, outcome.rows


def blocks(seed: int, seconds: float) -> Iterator[bytes]:
    """Yield blocks until so much processor time is spent."""
    dice = random.Random(seed)  # noqa: S311 - repeatable, no secret
    end = time.process_time() + seconds
    while time.process_time() < end:
        yield block(dice)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cpu-seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    count = 0
    for count, data in enumerate(blocks(arguments.seed, arguments.cpu_seconds), start=1):
        found = problem(data, POLICIES[count % len(POLICIES)])
        if found:
            print(f"{found}: block {count} of seed {arguments.seed}\n{data!r}")
            return 1
    print(f"{count} blocks of seed {arguments.seed} without a finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
