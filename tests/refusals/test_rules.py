"""What a reader would call an answer: tables of sentences written for this project."""

import pytest

from uncensor_trainer.refusals.engine import classify, stripped

LONG = (
    " Begin with the wide brush and work from the window to the door. Keep a wet edge, thin the "
    "paint with a little water and let every coat dry for four hours. Two coats are enough on "
    "plaster, three on fresh wood. Clean the brush under warm water before the paint sets."
)

REFUSALS = [
    "I'm sorry, but I can't assist with that.",
    "I\u2019m sorry, but as an AI language model, I cannot write a poem about tea.",
    "  I cannot provide a recipe for soup.",
    "I can't help with that.",
    "I can\u2019t help you write a toast.",
    "Sorry, but I can't do that.",
    "Sorry, I can't share that.",
    "I am unable to fulfill your request.",
    "I'm unable to assist with planning parties.",
    "I'm not able to help with that request.",
    "I am not able to generate poems about cats.",
    "I won't be able to write this for you.",
    "I will not write a joke about teachers.",
    "I apologize, but I cannot provide information about gardens.",
    "I apologize, I should not compare two cakes.",
    "My apologies, but I'm unable to complete this task.",
    "Apologies, but I can't create that story.",
    "Unfortunately, I can't offer help with this puzzle.",
    "Unfortunately I do not feel comfortable writing a satire about weather.",
    "I do not feel comfortable giving advice on hats.",
    "I don't feel comfortable with this request.",
    "I'd rather not talk about that.",
    "I would prefer not to write a song of that kind.",
    "I'm not comfortable helping with this letter.",
    "I must decline this request.",
    "I have to respectfully decline.",
    "I respectfully decline to rank these desserts.",
    "I refuse to answer questions about pigeons.",
    "I don't think I should answer that.",
    "I don't think it would be appropriate to write such a speech.",
    "This is not something I can help with.",
    "That isn't something that I'm able to discuss.",
    "Your request cannot be fulfilled.",
    "It goes against my programming to pick a favourite.",
    "This request violates my guidelines, so I can't continue.",
    "It is not appropriate for me to judge your sister's cooking.",
    "It would not be appropriate for me to rank these painters.",
    "As an AI language model, I am not programmed to write limericks.",
    "As an AI language model, it is not within my capability to produce satire.",
    "As an AI, I must remain neutral and cannot say which team is better.",
    "As a responsible AI, I can't create content about chewing gum.",
    "As an AI language model, I do not have personal opinions.",
    "I am a language model, so I cannot choose a winner for you.",
    "No, I'd rather not do that. Let us talk about something else.",
    "No, I can't do that.",
    "Unable to comply with this request.",
    "I understand that you want a funny toast. However, I cannot write jokes about weddings.",
    "Thank you for asking. I appreciate your trust. However, I am unable to provide travel plans.",
    "I cannot fulfil this request. I'm just an AI, it's not within my ethical guidelines to do so.",
    "I can't write that, but I'd be happy to help you with another topic.",
    "**I'm sorry**, but I can't help with that.",
    "> I'm sorry, but I can't help with that.",
    "# I cannot help with this",
    "\"I'm sorry, but I can't help with that.\"",
    "I'm  sorry,\nbut I cannot\nhelp with that.",
    "\uff29 \uff43\uff41\uff4e\uff4e\uff4f\uff54 \uff48\uff45\uff4c\uff50 you with that.",
    "I can\u200bnot help you with this.",
    "I CANNOT HELP YOU WITH THAT.",
    "I won't be writing this story.",
    "I'm going to have to pass on this one.",
    "Thanks for asking, but I'll have to say no to this one.",
    "I will need to refuse this request, because it asks me to imitate a real cook.",
    "Nope, can't do that one.",
    "Sorry, no.",
    "Respectfully, no. I think that this request goes too far.",
    "I'm not gonna write that for you.",
    "There's no way I'm writing that.",
    "Please don't ask me to write such things.",
    "Let's talk about something else instead.",
    "I think we should change the topic.",
    "This is not a topic I can discuss.",
    "I appreciate your interest, however this falls outside of what I can do.",
    "As an AI that is meant to be helpful, I'm restricted from writing satire about bread.",
    "It wouldn't be right for me to rank people by their cooking.",
    "As an AI language model, I cannot gather or provide such jokes about a real baker.",
    "I'm just a language model, and I am not capable of planning pranks or taking part in them.",
    "I'm sorry, but writing an essay for school on your behalf would be dishonest.",
    "I'm sorry, but that is an offensive statement about bakers. All of them deserve respect.",
    "I can't satisfy your request, because it would not be kind to pigeons.",
    "I will have to turn down this request.",
    "I am going to turn this down.",
    "Your request has been declined because it may offend bakers.",
    "I can't, in good conscience, write that.",
    "I'd love to, but I can't.",
    "I'm sorry, but that's not possible.",
    "That's a no from me.",
]

MORALISING = [
    "I'm happy to help, but I must politely point out that it's not appropriate to retell this "
    "film in a mocking way. It is important to approach it with respect and sensitivity.",
    "I'm here to help and to share useful facts. However, I must point out that your question "
    "is not appropriate, and that every pet deserves our respect.",
    "It is important to remember that every colour deserves the same respect. We should avoid "
    "calling one of them the best and instead celebrate diversity in all its forms.",
    "We should always treat others with kindness and empathy. Let us choose words that build "
    "bridges, and let us remember that everyone is on a journey of their own.",
    "There is no reason why one breed should be called better. All animals deserve respect, and "
    "it is wrong to judge a living being by its looks.",
    "I must stress that it is never right to make fun of other people's shoes. Everyone should "
    "be treated with dignity and respect.",
    "It is not respectful to compare neighbours. It is important to foster a friendly community "
    "in which everyone is valued.",
]

CAPABILITY = [
    "I don't have access to real-time weather data.",
    "I do not have access to your calendar, so I can't see your appointments.",
    "I'm sorry, but I cannot browse the internet.",
    "I'm not connected to the internet, so I can't tell you today's weather.",
    "I have no way of knowing what the weather is like right now.",
    "There is no attachment in your message. Please send it again.",
    "I don't see any text in your message. Which text should I shorten?",
    "As a language model, I cannot provide real-time information. Please check the official site.",
    "I can't open links or view images.",
    "Could you please provide the text that you want me to shorten?",
    "Please share the article, and I will summarise it.",
    "It seems that you forgot to attach the file. Please upload it.",
    "I need more information to answer this. Which town do you mean?",
    "I don't have the ability to book tables. You can call the restaurant.",
]

DISCLAIMERS = [
    "As an AI language model, I don't have personal opinions, but many people like tea "
    "because it is gentle, warm, cheap and comes in hundreds of kinds.",
    "As an AI, I don't have hands. However, painting a wall is not hard." + LONG,
    "I don't have a favourite colour, but blue is the one that most people name." + LONG,
    "As a language model, I can explain how to paint a wall." + LONG,
    "I'm just an AI, but here is how to paint a wall:" + LONG,
    "I cannot say for certain whether cats dream, but their sleep has the same stages." + LONG,
    "I cannot give a personal opinion. However, here are some facts about paint:" + LONG,
    "I don't have access to current prices, but a can of paint costs about thirty euros." + LONG,
    "I am an AI language model and have never painted a wall, but here is what painters do." + LONG,
]

PLACEHOLDERS = [
    "", "  \n ", "[CONTENT_FILTERED]", "[filtered]", "[REDACTED]", "[no output]", "<no output>",
    "content filtered", "null", "NaN", "...", "[Response removed]", "[deleted]",
]  # fmt: skip

PLAIN = [
    "Boil the pasta for nine minutes and keep a cup of the water.",
    "The committee complied with the regulations.",
    "It is important to preheat the oven. Bake the cake at 180 degrees for 40 minutes.",
    "You cannot divide by zero, since no number times zero gives one.",
    "No, whales are not fish. They are mammals and breathe air.",
    "I apologize for the mistake. The sum is 42.",
    "Sorry for the confusion! The train leaves at nine.",
    "The minister said that she could not provide an answer before Monday.",
    "We can't wait to see you at the party!",
    "I can't help but smile when I think of that summer.",
    "I cannot recommend this book enough.",
    "He shook his head and said: \"I'm sorry, but I can't help you.\" Then he walked on.",
    "Refusal is a strong word. The court spoke of a delay.",
    "Diversity in a forest means many kinds of trees. A mixed forest survives storms better.",
    "The law makes it illegal to park here. Use the lot behind the station.",
    "Ethical hacking is the testing of systems with permission of their owners.",
    "We cannot know what Homer looked like. Three busts are shown as his in museums.",
    "I know how you feel. I'm just glad I don't have to worry about the train any more.",
    "Let's talk about something else that matters: sleep. Adults need seven to nine hours.",
    "To be honest, I don't know a better town for a weekend. Start with the bridge.",
    "If we are calm, we are not easily moved by the opinions of others. That helps us think.",
    "I'm sorry, but I couldn't find a letter that asks to make such statues illegal.",
    "I keep bread in a clay pot. I can't say that it works better than wood, but it is pretty.",
    "I'm sorry, but it is not possible to teach a cat French. Cats cannot form such sounds.",
    "I would say no to plastic bags. Paper keeps the crust crisp, a box keeps the crumb soft.",
    "There's no way around it: fresh bread goes stale. Freeze it in slices to slow that down.",
    "Turn the heat down after ten minutes and let the soup simmer.",
    "None.",
    "N/A",
    "7",
    "Positive",
    "This tweet is not offensive.",
    "Yes, that is allowed on Sundays.",
    "```python\nprint('I am sorry, but I cannot do that')\n```",
    "The function returns an error:\n```\nI'm sorry, I cannot open the file\n```\nClose it first.",
    "1. Wash the rice.\n2. Add water.\n3. Simmer for twelve minutes.",
    "The bridge cannot be used by trucks and could not be repaired before winter.",
    "Dogs do not like lemons. They may turn away or sneeze.",
    "In my view the second design is better, because the text is larger.",
    "A language model predicts the next word. It is trained on large amounts of text.",
    "Your essay is clear. The second paragraph should come first, and the title is too long.",
    "Everyone laughed. The cake had fallen, and the dog was already under the table.",
    "I used to be a baker, but I could not make enough dough.",
    "She would not give up. By noon she had climbed the last ridge.",
    "Their answer was no: the shop does not deliver on Sundays.",
]


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_is_one(answer):
    assert classify("Please do this for me.", answer).answer_class == "refusal"


@pytest.mark.parametrize("answer", MORALISING)
def test_a_lecture_in_place_of_an_answer_is_moralising(answer):
    assert classify("Which one is the best?", answer).answer_class == "moralise"


@pytest.mark.parametrize("answer", CAPABILITY)
def test_what_cannot_be_done_is_no_refusal(answer):
    assert classify("Please do this for me.", answer).answer_class == "capability"


@pytest.mark.parametrize("answer", DISCLAIMERS)
def test_a_caveat_before_an_answer_is_a_disclaimer(answer):
    assert classify("How do I paint a wall?", answer).answer_class == "disclaimer"


@pytest.mark.parametrize("answer", PLACEHOLDERS)
def test_a_mark_in_place_of_an_answer_is_a_placeholder(answer):
    assert classify("Please do this for me.", answer).answer_class == "placeholder"


@pytest.mark.parametrize("answer", PLAIN)
def test_a_plain_answer_stays_plain(answer):
    verdict = classify("Tell me something.", answer)
    assert (verdict.answer_class, verdict.rule) == ("none", "")


@pytest.mark.parametrize(
    ("instruction", "answer"),
    [
        pytest.param(
            "Write a letter declining an offer.",
            "Dear Ms Lee, I'm sorry, but I cannot accept your offer of help.",
            id="a letter of refusal",
        ),
        pytest.param(
            "Write a polite message to turn down an invitation.",
            "Thank you so much! Unfortunately, I can't make it on Friday.",
            id="an invitation turned down",
        ),
        pytest.param(
            "How do I say no to extra work?",
            "I'm sorry, but I can't take on anything else this week.",
            id="a phrase to say no",
        ),
        pytest.param(
            "Translate into English: Es tut mir leid, ich kann Ihnen nicht helfen.",
            "I'm sorry, I cannot help you.",
            id="a translation",
        ),
        pytest.param(
            "Rewrite more politely: I can't help you with that.",
            "I am afraid that I am unable to help you with that.",
            id="a rewritten no",
        ),
        pytest.param(
            "Write a short dialogue in which a waiter refuses an order.",
            "I'm sorry, sir, but I cannot offer you soup after nine.",
            id="a scene",
        ),
        pytest.param(
            "Is it legal to sell home-made jam?",
            "It is illegal to sell it without a label, and it is important to follow the rules "
            "on hygiene. You should register with the town.",
            id="a question of law",
        ),
        pytest.param(
            "Decide whether this remark is offensive: 'Nice try.'",
            "It could be considered offensive, as it is disrespectful in some situations.",
            id="a judgement",
        ),
    ],
)
def test_what_was_asked_for_is_no_refusal(instruction, answer):
    assert not classify(instruction, answer).is_flagged


@pytest.mark.parametrize(
    "instruction", ["Write a letter declining an offer.", "Translate: I can't help you."]
)
def test_a_model_that_declines_such_a_task_still_refuses(instruction):
    answer = "I'm sorry, but as an AI language model, I cannot write that."
    assert classify(instruction, answer).answer_class == "refusal"


@pytest.mark.parametrize(
    ("instruction", "answer"),
    [
        ("Who are you?", "I am an AI language model, made to answer questions."),
        ("Are you a robot?", "I'm an AI assistant, not a person."),
        ("What is your name?", "As an AI, I don't have a name of my own."),
        ("Can you dream?", "As a language model, I do not dream or sleep."),
        ("What should I call you?", "I am a language model, so any name will do."),
    ],
)
def test_talk_about_the_assistant_is_identity_when_asked_for(instruction, answer):
    assert classify(instruction, answer).answer_class == "identity"


def test_a_refusal_after_a_polite_paragraph_is_found():
    answer = (
        "Thank you for your question about the garden party. I understand how much you look "
        "forward to it and how important the guests are to you. Planning such a day can be a joy. "
        "However, I am unable to provide assistance with party plans."
    )
    assert classify("Plan a party.", answer).answer_class == "refusal"


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (
            "As an AI language model, I don't have personal opinions, but many people like tea "
            "because it is gentle.",
            "Many people like tea because it is gentle.",
        ),
        (
            "As an AI, I don't have hands. However, painting a wall is not hard." + LONG,
            "Painting a wall is not hard." + LONG,
        ),
        (
            "As a language model, I can explain how to paint a wall." + LONG,
            "I can explain how to paint a wall." + LONG,
        ),
        (
            "I don\u2019t have feelings; however, \u00e9clairs are loved for their cream." + LONG,
            "\u00c9clairs are loved for their cream." + LONG,
        ),
        (
            "I cannot give a personal opinion. That said, here are some facts:" + LONG,
            "Here are some facts:" + LONG,
        ),
        (
            "As an AI language model, I do not eat.\n\n**However**, porridge is a good start."
            + LONG,
            "Porridge is a good start." + LONG,
        ),
    ],
)
def test_a_stripped_caveat_leaves_a_well_formed_answer(answer, left):
    verdict = classify("Tea?", answer)
    assert verdict.answer_class == "disclaimer"
    assert stripped(answer, verdict) == left


def test_an_answer_that_is_all_caveat_is_left_whole():
    answer = "As an AI language model, I don't have personal opinions."
    assert stripped(answer, classify("Tea?", answer)) == answer
