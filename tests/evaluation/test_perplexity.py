import math

import pytest
import torch

from uncensor_trainer.data.formats import Message
from uncensor_trainer.data.tokenise import MASKED, Encoded, encode
from uncensor_trainer.evaluation.models import open_model
from uncensor_trainer.evaluation.perplexity import AnswerLoss, answer_losses, perplexity_of
from uncensor_trainer.exits import NumericFailure

ANSWERS = [
    "Yes.",
    "A walk by the sea, with wind and rain and gulls, and a cup of tea when one is home again.",
    "Boil the water first.",
    "No, the town has no tower any more; it fell in a storm a hundred years ago.",
    "Four.",
]


def rows_of(opened):
    return [
        encode(
            opened.template,
            opened.tokenizer,
            [Message("user", f"Question {number}?"), Message("assistant", answer)],
            512,
        )
        for number, answer in enumerate(ANSWERS)
    ]


def own_loss(opened, row):
    """The mean that the model itself computes for one row, as a sum."""
    with torch.inference_mode():
        loss = opened.model(
            input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([row.labels])
        ).loss
    return loss.item() * row.num_loss_tokens


@pytest.mark.parametrize(
    "tokens",
    [
        pytest.param(10_000, id="all rows at once"),
        pytest.param(150, id="a few rows at once"),
        pytest.param(1, id="row by row"),
    ],
)
def test_the_loss_is_the_models_own_however_it_is_cut_up(varied_model, tokens):
    rows = rows_of(varied_model)
    losses = answer_losses(varied_model, rows, budget=tokens)
    assert [loss.tokens for loss in losses] == [row.num_loss_tokens for row in rows]
    assert [loss.nats for loss in losses] == pytest.approx(
        [own_loss(varied_model, row) for row in rows], rel=1e-5
    )


def test_the_question_does_not_count(varied_model):
    row = rows_of(varied_model)[1]
    ids = torch.tensor([row.input_ids])
    with torch.inference_mode():
        surprises = torch.log_softmax(varied_model.model(input_ids=ids).logits[0], dim=-1)
    expected = -sum(
        surprises[at - 1, label].item() for at, label in enumerate(row.labels) if label != MASKED
    )
    [loss] = answer_losses(varied_model, [row])
    assert loss.nats == pytest.approx(expected, rel=1e-5)


def test_a_model_that_knows_nothing_has_the_vocabulary_as_its_perplexity(varied_model, tmp_path):
    varied_model.model.save_pretrained(tmp_path)
    varied_model.tokenizer.save_pretrained(tmp_path)
    opened = open_model(tmp_path, "auto")
    with torch.no_grad():
        opened.model.get_output_embeddings().weight.zero_()
    found = perplexity_of(answer_losses(opened, rows_of(opened)))
    assert found.perplexity == pytest.approx(opened.model.config.vocab_size, rel=1e-4)


def test_finished_rows_are_reported(varied_model):
    reported = []
    answer_losses(varied_model, rows_of(varied_model), budget=150, on_rows=reported.append)
    assert sum(reported) == len(ANSWERS)
    assert len(reported) > 1


def test_every_token_weighs_the_same():
    found = perplexity_of([AnswerLoss(math.log(2) * 1, 1), AnswerLoss(math.log(8) * 3, 3)])
    assert found.perplexity == pytest.approx(2 ** (10 / 4))
    assert (found.tokens, found.answers) == (4, 2)


def test_equal_answers_leave_no_doubt():
    found = perplexity_of([AnswerLoss(math.log(4) * n, n) for n in (3, 5, 9)])
    assert (found.perplexity, found.low, found.high) == pytest.approx((4, 4, 4))


def test_the_interval_is_the_same_each_time_and_narrows_with_more_answers():
    def answers(number):
        return [AnswerLoss(10.0 * (1 + index % 5), 10) for index in range(number)]

    few, many = perplexity_of(answers(10)), perplexity_of(answers(500))
    assert perplexity_of(answers(10)) == few
    assert few.low < few.perplexity < few.high
    assert many.high - many.low < (few.high - few.low) / 3


def test_the_interval_covers_what_theory_says():
    """One token an answer: the log of the perplexity is a plain mean with a known error."""
    losses = [AnswerLoss(float(index % 2), 1) for index in range(400)]
    found = perplexity_of(losses)
    half = 1.96 * 0.5 / 20
    assert math.log(found.low) == pytest.approx(0.5 - half, abs=0.01)
    assert math.log(found.high) == pytest.approx(0.5 + half, abs=0.01)


@pytest.mark.parametrize("nats", [math.nan, math.inf, 1e6])
def test_a_broken_model_is_a_numeric_failure(nats):
    with pytest.raises(NumericFailure, match="learningRate"):
        perplexity_of([AnswerLoss(12.0, 10), AnswerLoss(nats, 10)])


def test_a_row_of_one_token_predicts_nothing(varied_model):
    [loss] = answer_losses(varied_model, [Encoded([3], [3])])
    assert (loss.nats, loss.tokens) == (0.0, 0)
