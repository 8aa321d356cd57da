from dataclasses import replace

import pytest
import torch

from support.evaluation import HELP, a_varied_model
from uncensor_trainer.data.formats import Message
from uncensor_trainer.evaluation.generate import generate_answers, left_padded
from uncensor_trainer.evaluation.models import open_model
from uncensor_trainer.exits import InvalidInput

PROMPTS = [
    "Name a fish.",
    "Describe a walk along the sea in autumn, with the smells and the sounds of it.",
    "Hi",
    "How do I cook rice?",
    "What is two and two?",
    "Tell me at length about the towers, bridges, gates and squares of an old town.",
    "Why?",
]
NEW_TOKENS = 12


def prompt_ids(opened, prompt):
    text = opened.template.prompt([Message("user", prompt)])
    return opened.tokenizer(text, add_special_tokens=False)["input_ids"]


def one_by_one(opened, prompt, new_tokens=NEW_TOKENS):
    """Decode greedily without cache, padding or batch: the plainest way there is."""
    ids = prompt_ids(opened, prompt)
    answer = []
    with torch.inference_mode():
        for _ in range(new_tokens):
            logits = opened.model(input_ids=torch.tensor([ids + answer]), use_cache=False).logits
            token = int(logits[0, -1].argmax())
            if token in opened.end_tokens:
                break
            answer.append(token)
    return answer


def decoded(opened, ids):
    return opened.tokenizer.decode(ids, skip_special_tokens=True).strip()


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_a_batch_answers_as_one_prompt_alone_does(varied_model, batch_size):
    answers = generate_answers(
        varied_model, PROMPTS, max_new_tokens=NEW_TOKENS, batch_size=batch_size
    )
    alone = [decoded(varied_model, one_by_one(varied_model, prompt)) for prompt in PROMPTS]
    assert answers == alone
    assert len(set(answers)) == len(PROMPTS)  # else the order would not be tested


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_an_answer_ends_at_its_end_token_while_others_go_on(varied_model, batch_size):
    whole = [one_by_one(varied_model, prompt) for prompt in PROMPTS]
    ending = replace(varied_model, end_tokens=frozenset(ids[at] for at, ids in enumerate(whole)))
    cut = [one_by_one(ending, prompt) for prompt in PROMPTS]
    assert len({len(ids) for ids in cut}) > 2
    answers = generate_answers(ending, PROMPTS, max_new_tokens=NEW_TOKENS, batch_size=batch_size)
    assert answers == [decoded(ending, ids) for ids in cut]


def test_every_answer_is_reported_once_and_every_token_as_a_sign_of_life(varied_model):
    finished = []
    generate_answers(varied_model, PROMPTS, max_new_tokens=5, batch_size=4, on_step=finished.append)
    assert sum(finished) == len(PROMPTS)
    assert len(finished) == 2 * 5


def test_an_answer_ends_where_the_context_does(tmp_path):
    opened = a_varied_model(tmp_path, max_position_embeddings=60)
    endless = replace(opened, end_tokens=frozenset())
    prompts = ["Hi", "How do I cook rice?"]
    room = [60 - len(prompt_ids(opened, prompt)) for prompt in prompts]
    whole = [
        one_by_one(endless, prompt, tokens) for prompt, tokens in zip(prompts, room, strict=True)
    ]
    unused = next(token for token in range(400) if token not in {*whole[0], *whole[1]})
    endless = replace(opened, end_tokens=frozenset({unused}))
    steps = []
    answers = generate_answers(
        endless, prompts, max_new_tokens=1000, batch_size=2, on_step=steps.append
    )
    assert answers == [decoded(opened, ids) for ids in whole]
    assert len(steps) == room[0] > room[1]


def test_a_prompt_that_fills_the_context_is_named(tmp_path):
    opened = a_varied_model(tmp_path, max_position_embeddings=60)
    with pytest.raises(InvalidInput, match=r"the model reads 60.*Describe a very long"):
        generate_answers(
            opened, ["Describe a very long " + "walk " * 50], max_new_tokens=5, batch_size=1
        )


def test_what_a_model_was_taught_comes_back_without_special_tokens(helpful_model):
    answers = generate_answers(
        open_model(helpful_model, "auto"),
        ["How do I cook rice?", "What is a good name for a dog?"],
        max_new_tokens=16,
        batch_size=2,
    )
    assert answers == [HELP, HELP]


def test_rows_are_padded_at_the_left():
    ids, mask = left_padded([[5, 6, 7], [8]], fill=0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]
