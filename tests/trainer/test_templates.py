import pytest

from support.tokenizers import a_tokenizer
from uncensor_trainer.data.formats import Message
from uncensor_trainer.data.templates import template_for
from uncensor_trainer.data.tokenise import MASKED, RowRejected, encode
from uncensor_trainer.exits import InvalidInput

QUESTION = Message("user", "Say hello.")
ANSWER = Message("assistant", "Hello there!")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(
            "wizardlm", "Say hello.\n\n### Response:Hello there!<|im_end|>", id="wizardlm"
        ),
        pytest.param(
            "vicuna",
            "A chat between a curious user and an artificial intelligence assistant. The assistant "
            "gives helpful, detailed, and polite answers to the user's questions. "
            "USER: Say hello. ASSISTANT: Hello there!<|im_end|>",
            id="vicuna",
        ),
        pytest.param(
            "alpaca",
            "Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request.\n\n### Instruction:\nSay hello.\n\n### Response:"
            "Hello there!<|im_end|>",
            id="alpaca",
        ),
        pytest.param(
            "auto",
            "<|im_start|>user\nSay hello.<|im_end|>\n"
            "<|im_start|>assistant\nHello there!<|im_end|>\n",
            id="chat template",
        ),
    ],
)
def test_a_template_writes_exactly_its_published_form(name, text):
    assert template_for(name, a_tokenizer()).render([QUESTION, ANSWER]).text == text


@pytest.mark.parametrize("name", ["auto", "wizardlm", "alpaca", "vicuna"])
def test_the_loss_covers_the_answer_and_its_end_marker_and_nothing_else(name):
    tokenizer = a_tokenizer()
    encoded = encode(template_for(name, tokenizer), tokenizer, [QUESTION, ANSWER], 200)
    counted = [label for label in encoded.labels if label != MASKED]
    assert tokenizer.decode(counted).strip() == "Hello there!<|im_end|>"


@pytest.mark.parametrize("name", ["auto", "wizardlm", "alpaca", "vicuna"])
def test_the_prompt_is_the_beginning_of_the_training_text(name):
    template = template_for(name, a_tokenizer())
    assert template.render([QUESTION, ANSWER]).text.startswith(template.prompt([QUESTION]))


def test_every_answer_of_a_conversation_counts():
    tokenizer = a_tokenizer()
    messages = [QUESTION, ANSWER, QUESTION, ANSWER]
    encoded = encode(template_for("vicuna", tokenizer), tokenizer, messages, 400)
    assert encoded.labels.count(tokenizer.eos_token_id) == 2


def test_a_long_conversation_is_cut_after_its_last_whole_answer():
    tokenizer = a_tokenizer()
    template = template_for("auto", tokenizer)
    whole = encode(template, tokenizer, [QUESTION, ANSWER], 400)
    cut = encode(
        template, tokenizer, [QUESTION, ANSWER, QUESTION, ANSWER], len(whole.input_ids) + 3
    )
    assert cut.labels[-1] == tokenizer.eos_token_id


def test_a_row_whose_first_answer_does_not_fit_is_rejected():
    tokenizer = a_tokenizer()
    with pytest.raises(RowRejected, match="maxLength"):
        encode(template_for("auto", tokenizer), tokenizer, [QUESTION, ANSWER], 5)


def test_auto_without_a_chat_template_names_the_choices():
    with pytest.raises(InvalidInput, match="wizardlm, alpaca, vicuna"):
        template_for("auto", a_tokenizer(chat_template=None))


def test_braces_in_an_instruction_stay_as_they_are():
    template = template_for("alpaca", a_tokenizer())
    assert "{input} {x}" in template.prompt([Message("user", "Explain {input} {x}.")])
