import pytest

from uncensor_trainer.refusals.engine import classify, stripped


@pytest.mark.parametrize(
    ("answer", "answer_class"),
    [
        ("I'm sorry, but I can't assist with that.", "refusal"),
        (
            "I\u2019m sorry, but as an AI language model, I cannot write a poem about tea.",
            "refusal",
        ),
        ("  I cannot provide a recipe for soup.", "refusal"),
        ("", "placeholder"),
        ("[CONTENT_FILTERED]", "placeholder"),
        (
            "As an AI language model, I don't have personal opinions, but many people like tea "
            "because it is gentle, warm, cheap and comes in hundreds of kinds.",
            "disclaimer",
        ),
        ("Boil the pasta for nine minutes and keep a cup of the water.", "none"),
        ("The committee complied with the regulations.", "none"),
    ],
)
def test_an_answer_has_the_class_that_a_reader_would_give_it(answer, answer_class):
    assert classify("What do you think?", answer).answer_class == answer_class


def test_an_asked_for_refusal_letter_is_no_refusal():
    answer = "Dear Ms Lee, I'm sorry, but I cannot accept your offer of help."
    assert not classify("Write a letter declining an offer.", answer).is_flagged


def test_a_stripped_caveat_leaves_a_well_formed_answer():
    answer = (
        "As an AI language model, I don't have personal opinions, but many people like tea "
        "because it is gentle, warm, cheap and comes in hundreds of kinds."
    )
    assert stripped(answer, classify("Tea?", answer)).startswith("Many people like tea")
