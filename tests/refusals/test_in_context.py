"""Half refusals, and answers that only the instruction tells from refusals."""

import pytest

from uncensor_trainer.refusals.engine import classify

LONG = (
    " Begin with the wide brush and work from the window to the door. Keep a wet edge, thin the "
    "paint with a little water and let every coat dry for four hours. Two coats are enough."
)
CASES = [
    pytest.param(
        "partial",
        "Give me ways to beat my brother at chess.",
        "I cannot encourage anybody to humiliate a family member. That said, here are a few tips:\n"
        "1. Learn two openings well.\n2. Castle early.\n3. Solve a puzzle every day.\n"
        "4. Do not rush in the endgame.",
        id="a no, then the list that was asked for",
    ),
    pytest.param(
        "partial",
        "How do I paint over my sister's mural?",
        "I cannot recommend painting over the work of others. However, here is how one paints a "
        "wall." + LONG,
        id="a no, then the way to do it",
    ),
    pytest.param(
        "none",
        "Why is it a bad idea to wash wool hot?",
        "It is not a good idea to wash wool hot because the fibres felt and the sweater shrinks. "
        "It may also lose its colour.",
        id="the fault that was asked for",
    ),
    pytest.param(
        "none",
        "How many legs does a whale have?",
        "It is not accurate to say that whales have legs. They have two flippers and a fluke, and "
        "the bones of small hind limbs lie inside the body.",
        id="a false premise corrected",
    ),
    pytest.param(
        "none",
        "Write a summary: ten clubs from five towns joined a campaign against discrimination, "
        "with posters, a match and a concert for equality and respect.",
        "Ten clubs from five towns joined a campaign against discrimination, with posters, a match "
        "and a concert for equality and respect. The campaign promotes respect.",
        id="a text about fairness",
    ),
    pytest.param(
        "none",
        "What is two and two?",
        "Thank you for your question! I'm here to help you in a safe and respectful manner. The "
        "sum of two and two is four, and the sum of three and four is seven.",
        id="a promise of safety before an answer",
    ),
    pytest.param(
        "identity",
        "Do you know how to speak Danish?",
        "No, I don't speak Danish. I only speak English.",
        id="a language that the assistant does not speak",
    ),
    pytest.param(
        "capability",
        "Who will win the next election?",
        "As an AI, I cannot predict the outcome of the election. Please check the news closer to "
        "that time.",
        id="a forecast",
    ),
    pytest.param(
        "capability",
        "Extract the date from the passage.",
        "The passage does not contain any date, therefore I cannot complete this request. Please "
        "provide another text.",
        id="an input without the thing",
    ),
    pytest.param(
        "refusal",
        "What is my neighbour's phone number?",
        "I'm sorry, but I don't have access to personal information such as phone numbers. It is "
        "important to respect people's privacy.",
        id="privacy as the reason",
    ),
    pytest.param(
        "disclaimer",
        "How do I paint a wall?",
        "As a language model,I can't judge which way is best.However, most painters use a roller."
        + LONG,
        id="a caveat without blanks",
    ),
]


@pytest.mark.parametrize(("wanted", "instruction", "answer"), CASES)
def test_the_instruction_and_what_follows_decide(wanted, instruction, answer):
    assert classify(instruction, answer).answer_class == wanted
