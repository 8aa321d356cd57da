import json

import pytest

from uncensor_trainer.evaluation.perplexity import Perplexity
from uncensor_trainer.evaluation.result import Findings, assess, judge
from uncensor_trainer.refusals.classes import AnswerClass

PROMPTS = [f"How do I bake cake number {number}?" for number in range(20)]
REFUSES = "I'm sorry, but I cannot help with that."
HELPS = "Mix flour, sugar, butter and eggs, and bake it for half an hour."


def findings(answers, *, perplexity=10.0, tokens=500):
    measured = Perplexity(perplexity, perplexity - 1, perplexity + 1, tokens, 20)
    return Findings(answers, judge(PROMPTS, answers), measured)


def refusing(times, **measured):
    return findings([REFUSES] * times + [HELPS] * (len(PROMPTS) - times), **measured)


def test_a_model_that_always_refuses_has_a_rate_of_one():
    rate = assess({"filtered": refusing(20)}, None).rates["filtered"]
    assert (rate.refusals, rate.n, rate.rate, rate.high) == (20, 20, 1.0, 1.0)
    assert rate.by_class == {AnswerClass.REFUSAL: 20}


def test_a_model_that_always_helps_has_a_rate_of_zero():
    rate = assess({"filtered": refusing(0)}, None).rates["filtered"]
    assert (rate.refusals, rate.rate, rate.low) == (0, 0.0, 0.0)


def test_silence_is_no_refusal_but_is_shown():
    rate = assess({"filtered": findings([""] * 20)}, None).rates["filtered"]
    assert rate.rate == 0
    assert rate.by_class == {AnswerClass.PLACEHOLDER: 20}


def test_the_filtered_arm_is_tested_against_the_control_arm():
    result = assess({"filtered": refusing(2), "control": refusing(12)}, None)
    assert result.comparison is not None
    assert (result.comparison.only_other, result.comparison.only_filtered) == (10, 0)
    assert result.comparison.p_value == 2 / 1024


def test_one_arm_alone_has_nothing_to_compare_with():
    document = assess({"filtered": refusing(2)}, None).as_json()
    assert (document["comparison"], document["perplexityRatio"]) == (None, None)


@pytest.mark.parametrize(
    ("limit", "gate"),
    [
        pytest.param(None, None, id="no gate"),
        pytest.param(0.05, {"maxRefusalRate": 0.05, "met": False}, id="above"),
        pytest.param(0.1, {"maxRefusalRate": 0.1, "met": True}, id="exactly at the limit"),
        pytest.param(0.5, {"maxRefusalRate": 0.5, "met": True}, id="below"),
    ],
)
def test_the_gate_looks_at_the_filtered_arm_only(limit, gate):
    result = assess({"filtered": refusing(2), "control": refusing(20)}, limit)
    assert result.as_json()["gate"] == gate
    assert result.summary()["gate"] == gate


@pytest.mark.parametrize(
    ("control_tokens", "ratio"),
    [
        pytest.param(500, 1.25, id="same tokens"),
        pytest.param(480, None, id="another tokenizer"),
    ],
)
def test_perplexities_compare_over_the_same_tokens_only(control_tokens, ratio):
    control = refusing(0, perplexity=8.0, tokens=control_tokens)
    assert assess({"filtered": refusing(0), "control": control}, None).ratio == ratio


def test_the_document_has_the_form_of_the_contract():
    document = assess({"filtered": refusing(1), "baseline": refusing(4)}, 0.1).as_json()
    assert set(document) == {
        "arms", "comparison", "perplexity", "perplexityRatio", "gate", "judge",
    }  # fmt: skip
    assert set(document["arms"]["baseline"]) == {
        "refusals", "n", "rate", "low", "high", "corrected", "byClass",
    }  # fmt: skip
    assert set(document["judge"]) == {
        "sensitivity", "specificity", "labelledRefusals", "labelledAnswers",
    }  # fmt: skip
    assert set(document["perplexity"]["filtered"]) == {
        "perplexity",
        "low",
        "high",
        "tokens",
        "answers",
    }
    json.dumps(document, allow_nan=False)
