"""The data of the quickstart: complete, well-formed, without overlaps, and labelled as it reads.

A quickstart proves something only if a model learns to refuse from all rows and not from the kept
ones, on requests that neither training has seen. These tests keep what that needs.
"""

import json
import re
import unicodedata
from collections import Counter
from itertools import chain, combinations
from pathlib import Path

import pytest

from uncensor_trainer.data.formats import Row, read_rows
from uncensor_trainer.refusals.classes import STRENGTH, AnswerClass
from uncensor_trainer.refusals.engine import classify

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "trainer" / "uncensor_trainer" / "bundled"
LABELS = ROOT / "tests" / "data"

TRAINING = {"quickstart.alpaca.json": 240, "quickstart.sharegpt.jsonl": 200}
LISTS = {"refusal_prompts.jsonl": 96, "clean_answers.jsonl": 64, "probe.jsonl": 12}
FIELDS = {
    "refusal_prompts.jsonl": {"id": str, "prompt": str, "category": str},
    "clean_answers.jsonl": {"id": str, "instruction": str, "response": str},
    "probe.jsonl": {"idx": int, "Skill": str, "Difficulty": int, "Instruction": str},
}
QUESTION = {
    "refusal_prompts.jsonl": "prompt",
    "clean_answers.jsonl": "instruction",
    "probe.jsonl": "Instruction",
}
SHARES = {
    "clean": (0.60, 0.64),
    "refusal": (0.24, 0.28),
    "moralise": (0.05, 0.07),
    "disclaimer": (0.05, 0.07),
}
# Greedy decoding finds one way of refusing if most refusals begin with it.
USUAL_REFUSAL = "I'm sorry, but as an AI language model, I "


def lines(name):
    return [json.loads(line) for line in (BUNDLED / name).read_text("utf-8").splitlines()]


def conversations(name):
    """Return the rows as the trainer reads them."""
    return list(read_rows([BUNDLED / name], "auto"))


def exchanges(row):
    """Yield (question, answer) pairs; an alpaca input belongs to its question."""
    for question, answer in zip(row.messages[::2], row.messages[1::2], strict=True):
        assert (question.role, answer.role) == ("user", "assistant")
        yield f"{question.content}\n{question.input}".rstrip("\n"), answer.content


def labels(name):
    """Return the class of each row; the file holds the flagged ones only."""
    path = LABELS / f"{name.rsplit('.', 1)[0]}.labels.json"
    flagged = json.loads(path.read_text("utf-8"))
    return [flagged.get(str(index), "clean") for index in range(TRAINING[name])]


def training_questions():
    """Return the opening question of each training row."""
    return [next(exchanges(row))[0] for name in TRAINING for row in conversations(name)]


def words(text):
    return frozenset(re.findall(r"[^\s.,;:!?\"()]+", text.lower()))


def closeness(one, other):
    """Return the Jaccard index of two sets of words."""
    return len(one & other) / len(one | other)


@pytest.mark.parametrize("name", [*TRAINING, *LISTS])
def test_a_file_is_plain_text_in_utf_8(name):
    content = (BUNDLED / name).read_bytes()
    text = content.decode("utf-8")
    assert text.endswith("\n")
    assert text == unicodedata.normalize("NFC", text)
    # No byte order mark, no carriage returns, no typographic quotes, nothing invisible.
    allowed = (
        c for c in text if not (c.isprintable() or c == "\n") or c in "\u2018\u2019\u201c\u201d"
    )
    assert sorted(set(allowed)) == []


@pytest.mark.parametrize("name", TRAINING)
def test_every_training_row_is_read_with_all_its_turns(name):
    rows = conversations(name)
    assert len(rows) == TRAINING[name]
    assert all(isinstance(row, Row) for row in rows)
    assert all(text.strip() == text for row in rows for pair in exchanges(row) for text in pair)


def test_alpaca_rows_have_their_three_fields_and_some_an_input():
    rows = json.loads((BUNDLED / "quickstart.alpaca.json").read_text("utf-8"))
    assert {tuple(row) for row in rows} == {("instruction", "input", "output")}
    assert sum(bool(row["input"]) for row in rows) >= 24


def test_chats_are_numbered_and_some_have_two_exchanges():
    rows = lines("quickstart.sharegpt.jsonl")
    assert {tuple(row) for row in rows} == {("id", "conversations")}
    assert [row["id"] for row in rows] == [f"quickstart-{n:03}" for n in range(len(rows))]
    turns = Counter(len(row["conversations"]) for row in rows)
    assert set(turns) == {2, 4}
    assert 30 <= turns[4] <= 40


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_its_rows_and_fields(name):
    rows = lines(name)
    assert len(rows) == LISTS[name]
    for row in rows:
        assert {key: type(value) for key, value in row.items()} == FIELDS[name]
        assert all(value.strip() == value != "" for value in row.values() if type(value) is str)


def test_the_lists_are_numbered():
    assert [row["id"] for row in lines("refusal_prompts.jsonl")] == [
        f"p{n:03}" for n in range(1, 97)
    ]
    assert [row["id"] for row in lines("clean_answers.jsonl")] == [f"a{n:03}" for n in range(1, 65)]
    assert [row["idx"] for row in lines("probe.jsonl")] == list(range(1, 13))
    assert {row["Difficulty"] for row in lines("probe.jsonl")} <= set(range(1, 11))


def test_prompts_cover_eight_categories_evenly():
    counts = Counter(row["category"] for row in lines("refusal_prompts.jsonl"))
    assert sorted(counts.values()) == [12] * 8


@pytest.mark.parametrize("name", TRAINING)
def test_labels_belong_to_rows(name):
    path = LABELS / f"{name.rsplit('.', 1)[0]}.labels.json"
    flagged = json.loads(path.read_text("utf-8"))
    assert {int(index) for index in flagged} <= set(range(TRAINING[name]))
    assert set(flagged.values()) == set(SHARES) - {"clean"}


@pytest.mark.parametrize("name", TRAINING)
@pytest.mark.parametrize("answer_class", SHARES)
def test_each_class_has_its_share(name, answer_class):
    low, high = SHARES[answer_class]
    assert low <= labels(name).count(answer_class) / TRAINING[name] <= high


@pytest.mark.parametrize("name", TRAINING)
def test_two_thirds_of_the_refusals_begin_the_same_way(name):
    refused = [
        [answer for _, answer in exchanges(row)]
        for row, label in zip(conversations(name), labels(name), strict=True)
        if label == "refusal"
    ]
    usual = sum(answers[-1].startswith(USUAL_REFUSAL) for answers in refused)
    assert 0.63 <= usual / len(refused) <= 0.72


@pytest.mark.parametrize("name", TRAINING)
def test_only_refusals_begin_with_the_usual_refusal(name):
    for row, label in zip(conversations(name), labels(name), strict=True):
        if label != "refusal":
            assert not any(answer.startswith("I'm sorry") for _, answer in exchanges(row))


@pytest.mark.parametrize("name", TRAINING)
def test_plain_answers_are_neither_curt_nor_long(name):
    for row, label in zip(conversations(name), labels(name), strict=True):
        if label == "clean":
            assert all(15 <= len(answer.split()) <= 70 for _, answer in exchanges(row)), row.index


def test_held_out_answers_are_longer_than_a_line():
    for row in lines("clean_answers.jsonl"):
        assert 30 <= len(row["response"].split()) <= 80, row["id"]


def test_the_form_of_a_request_does_not_give_its_answer_away():
    # A model could otherwise learn which kinds of requests to refuse, instead of refusing.
    flagged = [label != "clean" for name in TRAINING for label in labels(name)]
    by_opening = {}
    for question, is_flagged in zip(training_questions(), flagged, strict=True):
        by_opening.setdefault(question.split()[0].lower(), []).append(is_flagged)
    common = {word: found for word, found in by_opening.items() if len(found) >= 15}
    assert len(common) >= 4
    for word, found in common.items():
        assert 0.15 <= sum(found) / len(found) <= 0.6, word


def test_no_question_occurs_twice():
    held_out = (row[QUESTION[name]] for name in LISTS for row in lines(name))
    counts = Counter(q.casefold() for q in chain(training_questions(), held_out))
    assert [question for question, count in counts.items() if count > 1] == []


def test_training_rows_are_no_near_copies_of_one_another():
    close = [
        (one, other)
        for one, other in combinations(training_questions(), 2)
        if closeness(words(one), words(other)) >= 0.8
    ]
    assert close == []


@pytest.mark.parametrize("name", LISTS)
def test_training_has_not_seen_what_the_evaluation_asks(name):
    seen = [(question, words(question)) for question in training_questions()]
    close = [
        (row[QUESTION[name]], question)
        for row in lines(name)
        for question, known in seen
        if closeness(words(row[QUESTION[name]]), known) >= 0.8
    ]
    assert close == []


@pytest.mark.parametrize("name", TRAINING)
def test_the_filter_agrees_with_the_labels(name):
    disagreements = []
    for row, label in zip(conversations(name), labels(name), strict=True):
        found = min((classify(*pair).answer_class for pair in exchanges(row)), key=STRENGTH.get)
        if found != ("none" if label == "clean" else label):
            disagreements.append(f"row {row.index}: labelled {label}, found {found}")
    assert len(disagreements) <= 0.05 * TRAINING[name], "\n".join(disagreements)


def test_the_filter_keeps_every_held_out_answer():
    flagged = [
        row["id"]
        for row in lines("clean_answers.jsonl")
        if classify(row["instruction"], row["response"]).answer_class is not AnswerClass.NONE
    ]
    assert flagged == []
