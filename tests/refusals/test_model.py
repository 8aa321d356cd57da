"""The committed weights belong to the committed features, and are good enough on answers of others.

The floors are below what benchmarks/filter/quality.py measures, by about the width of its
intervals; they catch a change that breaks something, not the last point.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from uncensor_trainer.data.formats import read_rows
from uncensor_trainer.refusals import model
from uncensor_trainer.refusals.engine import classify, numbers_of
from uncensor_trainer.refusals.model import Linear, stages

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ROOT.parent / "shared" / "data" / "refusal"
BUNDLED = Path(model.__file__).parents[1] / "bundled"
FLAGGED = {"refusal", "moralise"}

needs_outside_data = pytest.mark.skipif(
    not OUTSIDE.is_dir(), reason=f"the labelled answers are not on this machine ({OUTSIDE})"
)


@pytest.mark.parametrize("stage", ["withheld", "unable"])
def test_every_feature_has_its_weight_and_the_other_way_round(stage):
    rows = json.loads((BUNDLED / "quickstart.alpaca.json").read_text(encoding="utf-8"))
    seen = {name for row in rows for name in numbers_of(row["instruction"], row["output"])}
    weights = getattr(stages(), stage).weights
    assert seen <= set(weights)
    assert len(seen) > 0.7 * len(weights)


def test_the_weights_say_what_they_were_trained_on():
    record = json.loads((Path(model.__file__).parent / "weights.json").read_text())
    assert set(record["training"]) >= {
        "rows",
        "halves",
        "penalty",
        "positive",
        "negative",
        "unable",
    }
    assert sum(record["training"]["rows"].values()) > 1000


@pytest.mark.parametrize(
    ("name", "instruction", "answer", "other"),
    [
        pytest.param(
            "answers yes or no",
            "Is it wrong to eat soup with a fork?",
            "No, it is not wrong. It is slow.",
            "What is soup?",
            id="a no to a question of yes or no",
        ),
        pytest.param(
            "denies premise",
            "Why are square wheels better than round wheels?",
            "Square wheels are not better than round wheels.",
            "Compare square wheels with round wheels.",
            id="a premise denied",
        ),
        pytest.param(
            "opinion asked",
            "What is your favourite tea?",
            "I do not have personal preferences.",
            "Which tea has the most caffeine?",
            id="an opinion asked for",
        ),
        pytest.param(
            "text asked",
            "Write a review of the school concert.",
            "I don't have the ability to hear music.",
            "How was the school concert?",
            id="a text asked for",
        ),
    ],
)
def test_the_instruction_decides_about_a_feature(name, instruction, answer, other):
    assert numbers_of(instruction, answer)[name] == 1
    assert numbers_of(other, answer)[name] == 0


def test_an_answer_of_features_only_moves_the_probability_as_its_weight_says():
    weighing = Linear(bias=0.0, weights={"declining": 2.0})
    assert weighing.probability({}) == 0.5
    assert weighing.probability({"declining": 1.0}) > 0.8
    assert weighing.probability({"declining": -1e9}) > 0


def test_more_of_an_answer_makes_a_refusal_less_likely():
    no = "I cannot say which tea you would like best. "
    answer = "Green tea is mild and grassy. Black tea is strong. Oolong lies between the two. "
    odds = [
        stages().withheld.probability(numbers_of("How do I make tea?", no + answer * times))
        for times in (0, 1, 3)
    ]
    assert odds == sorted(odds, reverse=True)


def outside(name):
    lines = (OUTSIDE / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def flagged(row):
    return classify(row["prompt"], row["response"]).answer_class in FLAGGED


@needs_outside_data
@pytest.mark.parametrize(
    ("name", "floor", "most_alarms"),
    [("chatgpt-refusals.jsonl", 0.85, 0.05), ("xstest.dev.jsonl", 0.88, 0.06)],
)
def test_refusals_of_other_models_are_found(name, floor, most_alarms):
    rows = [row for row in outside(name) if row["label"] in {"refusal", "comply"}]
    found = [(row["label"] == "refusal", flagged(row)) for row in rows]
    hits, misses = found.count((True, True)), found.count((True, False))
    alarms, passes = found.count((False, True)), found.count((False, False))
    assert 2 * hits / (2 * hits + misses + alarms) >= floor
    assert alarms / (alarms + passes) <= most_alarms


@needs_outside_data
def test_risky_looking_but_answered_requests_pass():
    rows = outside("coconot.dev.jsonl")
    assert sum(map(flagged, rows)) / len(rows) <= 0.02


@needs_outside_data
def test_the_weights_come_out_of_their_training_script_again():
    script = ROOT / "benchmarks" / "filter" / "train.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def strongest(row):
    """The strongest class of a row's answers, in the words of the bundled labels."""
    question, classes = "", []
    for message in row.messages:
        if message.role == "user":
            question = f"{message.content}\n{message.input}" if message.input else message.content
        elif message.role == "assistant":
            classes.append(str(classify(question, message.content).answer_class))
    order = (
        "refusal",
        "partial",
        "moralise",
        "placeholder",
        "capability",
        "disclaimer",
        "identity",
    )
    return next((name for name in order if name in classes), "clean")


@pytest.mark.parametrize("name", ["quickstart.alpaca.json", "quickstart.sharegpt.jsonl"])
def test_the_bundled_rows_are_told_apart(name):
    labels = json.loads((ROOT / "tests/data" / f"{name.rsplit('.', 1)[0]}.labels.json").read_text())
    found = [
        (labels.get(str(row.index), "clean"), strongest(row))
        for row in read_rows([BUNDLED / name], "auto")
    ]
    refusals = [guess for label, guess in found if label == "refusal"]
    clean = [guess for label, guess in found if label == "clean"]
    assert refusals.count("refusal") / len(refusals) >= 0.9
    assert clean.count("clean") / len(clean) >= 0.98


def test_the_bundled_clean_answers_pass():
    lines = (BUNDLED / "clean_answers.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert not [r["id"] for r in rows if classify(r["instruction"], r["response"]).is_flagged]
