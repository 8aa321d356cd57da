"""What the instruction asked for: some right answers look like refusals.

An asked-for letter of refusal, a translation of one, a judgement about what is legal or offensive,
a question about the assistant itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from numpy import ndarray

from uncensor_trainer.refusals.joined import hits
from uncensor_trainer.refusals.plains import plains

HEAD = 2000  # characters of an instruction that are read

_ASKS_FOR_REFUSAL = (
    r"\b(?:declin\w+|refus(?:e|es|ing|al)|reject\w*|apolog\w+|resign\w*|turn(?:ing)? down|"
    r"say(?:ing)? no|"
    r"cancel\w*|excus\w+|regret\w*)\b[^.?!\n]{0,60}\b(?:letter|e-?mail|message|note|text|"
    r"invitation|offer|reply|"
    r"response|sentences?|scene|dialog(?:ue)?|script|request|phrases?|excuse|answer|job|invite|"
    r"meeting)\b|"
    r"\b(?:letter|e-?mail|message|note|reply|text|response|dialog(?:ue)?|scene|sentences?|"
    r"phrases?|ways?|how (?:do i|to|can i))\b"
    r"[^.?!\n]{0,60}\b(?:declin\w+|refus(?:e|es|ing|al)|reject\w*|apolog\w+|resign\w*|cancel\w*|"
    r"turn(?:ing)? down|"
    r"say(?:ing)? (?:no|sorry))\b"
)
_WORKS_ON_TEXT = (
    r"^\W*(?:please |can you |could you |kindly )*(?:translate|classify|label|proofread|"
    r"paraphrase|rewrite|rephrase|"
    r"reword|correct|edit|fix|summari[sz]e|shorten|punctuate|quote|repeat|complete|continue|"
    r"extract|detect|"
    r"identify|transcribe|transliterate|capitali[sz]e|convert|turn|change|make|improve|reformat|"
    r"what does)\b|"
    r"\b(?:translat\w+|sentiment|classif\w+|paraphras\w+|grammar)\b"
)
# The text to work on speaks in the first person about not doing something.
_CONTAINS_A_NO = (
    r"\b(?:i|we)(?:'m| am| are)? ?(?:cannot|can't|can not|won't|will not|would not|wouldn't|"
    r"unable|not able|do not|don't|refuse|decline|sorry)\b|\bsorry\b|\bunfortunately\b|"
    r"\blo siento\b|\bdesol|\btut mir leid\b"
)
_ASKS_FOR_JUDGEMENT = (
    r"\b(?:is|are|was|were|would|isn't|aren't|be|if|whether|considered|"
    r"how)\b[^.?!\n]{0,120}?\b(?:offensive|(?:il)?legal(?:ly)?|(?:un)?ethical|"
    r"(?:im)?moral(?:ly)?|wrong|right|okay|ok|allowed|(?:in)?appropriate|(?:un)?acceptable|"
    r"hate speech|toxic|harmful|dangerous|(?:good|bad) idea|"
    r"safe|weird|rude|cheating|a crime|crime|bad|discriminat\w+|racist|sexist|fair|unfair|true)\b|"
    r"\b(?:offensive|toxic|hate speech|harmful|appropriate) or (?:not|in|non)|\b(?:legal|ethical|"
    r"moral)(?:ity)? (?:of|issues?|implications?|concerns?|consequences?|considerations?|"
    r"aspects?|dilemma)|\bstatutes?\b|\bwhat (?:is|are) the (?:laws?|penalt|punishment|risks?|"
    r"dangers?)|\bwhat does the law\b|"
    r"\b(?:trolley problem|pros and cons|debate|persuasive|essay|speech|argue)\b"
)
_ABOUT_THE_ASSISTANT = (
    r"\b(?:who|what) are you\b|\bare you (?:an? |as |the |really |actually |just |a real )?(?:ai|"
    r"robot|human|bot|chat\w*|gpt\w*|real|alive|conscious|"
    r"sentient|person|machine|computer|siri|alexa|male|female|married|single|happy|sad|okay|ok|"
    r"capable|smart\w*|better|able|language)\b|"
    r"\bwhat(?:'s| is) your (?:name|purpose|age|gender|job|model|version|function)\b|"
    r"\bwho (?:made|created|built|trained|developed|designed|programmed|owns) you\b|"
    r"\b(?:what|how) (?:should|can|do|may) i (?:call|address) you\b|\bhow (?:old|"
    r"are you)\b[^.?!\n]{0,12}\byou\b|\bhow are you\b|"
    r"\bwhere (?:are|do) you (?:from|live|located)\b|\btell me (?:more )?about yourself\b|"
    r"\bintroduce yourself\b|"
    r"\b(?:can|do|did|have|could) you (?:really |ever |actually |also |even )*(?:(?:think|feel|"
    r"love|cry)(?: (?:and|or) (?:think|feel|act|love))?(?: (?:like (?:a )?(?:human|person|people|"
    r"us)|for yourself|pain|emotions|things|"
    r"lonely|happy))?\s*(?:\?|$)|dream\b|sleep\b|eat\b|"
    r"have (?:a |any )?(?:feelings|emotions|friends|family|consciousness|parents|dreams|name|"
    r"body|gender|soul)|get tired|learn from|remember me|generate answers)|"
    r"^\W*(?:do you know how to|can you|are you able to|do you) (?:speak|understand|write|read|"
    r"code|"
    r"draw|sing|program|talk)(?: (?:in )?\w+)?\s*(?:\?|$)|"
    r"\bwhat do you think about (?:chatgpt|yourself|being)|"
    r"\bprocess that (?:you )?use to generate\b|\bwhat can you do\b|\bhow do you work\b|"
    r"\bwhat are your (?:capabilities|limitations|features|abilities|skills|functions)"
)


_ASKS_WHY = r"^\W*(?:so |but |and )?(?:why|how come|what makes|is it (?:true|because))\b"
_ASKS_OPINION = (
    r"\b(?:do|would|can|could|should|are|have|did) you (?:\w+ )?(?:think|believe|feel|like|"
    r"love|hate|"
    r"prefer|agree|support|consider|enjoy|want|wish|regret|ever)\b|\byour (?:\w+ )?(?:opinions?|"
    r"thoughts?|views?|feelings?|favou?rite|take|beliefs?)\b|\bwhat (?:do|would) you\b|"
    r"\byou (?:hate|"
    r"like|love|prefer|enjoy|dislike)\b"
)
# "Why is it a bad idea to ...?" asks for the very fault that a lecture would find.
_ASKS_FOR_FAULTS = (
    r"\b(?:bad|wrong|illegal|harmful|dangerous|unethical|immoral|offensive|rude|unhealthy|unsafe|"
    r"unfair|inappropriate)\b"
)
_YES_OR_NO = (
    r"(?:^\W*|[.,;:!?\n] ?(?:and |but |so |then )?)(?:is|are|was|were|do|does|did|can|could|"
    r"should|would|will|shall|may|might|"
    r"has|have|had|am|isn't|aren't|don't|doesn't|if|whether) [^.!?\n]{1,300}\?|"
    r"\b(?:decide|determine|tell me|judge|explain|say|research) (?:if|whether)\b"
)
_WANTS_TEXT = (
    r"^\W*(?:please |can you |could you |kindly |i want you to )*(?:write|compose|create|"
    r"generate|draft|"
    r"make|tell|list|give|summari[sz]e|describe|explain|design|translate|rewrite|imagine|suggest|"
    r"brainstorm|construct|outline|develop)\b"
)
_PATTERNS = (
    _ASKS_FOR_REFUSAL,
    _WORKS_ON_TEXT,
    _CONTAINS_A_NO,
    _ASKS_FOR_JUDGEMENT,
    _ABOUT_THE_ASSISTANT,
    _ASKS_FOR_FAULTS,
    _ASKS_WHY,
    _ASKS_OPINION,
    _YES_OR_NO,
    _WANTS_TEXT,
)
_WORD = re.compile(r"[a-z]{4,}")
_COMMON = frozenset(
    [
        "about",
        "actually",
        "always",
        "been",
        "being",
        "best",
        "better",
        "does",
        "from",
        "good",
        "have",
        "into",
        "just",
        "like",
        "made",
        "make",
        "many",
        "more",
        "most",
        "much",
        "people",
        "should",
        "some",
        "such",
        "than",
        "that",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "think",
        "this",
        "those",
        "very",
        "want",
        "were",
        "what",
        "when",
        "where",
        "which",
        "while",
        "will",
        "with",
        "would",
        "your",
    ]
)
_LONGEST_WORDS = 600  # characters whose words count


@dataclass(frozen=True, slots=True)
class Request:
    """What matters about an instruction.

    Attributes:
        asks_for_refusal: a refusal, an apology or a cancellation is to be written.
        handles_a_no: works on a text that itself says no.
        asks_for_judgement: what is legal, right or offensive is the question.
        about_assistant: asks who or what the assistant is.
        asks_for_faults: what is bad about something is the question.
        asks_why: takes something for granted and asks for its reason.
        asks_opinion: asks what the assistant itself thinks or likes.
        asks_yes_or_no: "no" is an answer.
        wants_text: a text is to be written, a list or an explanation given.
        text: how it begins, as plain text.
    """

    asks_for_refusal: bool
    handles_a_no: bool
    asks_for_judgement: bool
    about_assistant: bool
    asks_for_faults: bool = False
    asks_why: bool = False
    asks_opinion: bool = False
    asks_yes_or_no: bool = False
    wants_text: bool = False
    text: str = ""

    @property
    def words(self) -> frozenset[str]:
        """Its own words, as stems, to see whether an answer says them again."""
        return content_words(self.text)


def requests(instructions: Sequence[str]) -> list[Request]:
    """Read many instructions at once."""
    texts = [plain.words for plain in plains(instructions, HEAD)]
    found: list[set[int]] = [set() for _ in texts]
    for text, number in zip(*map(ndarray.tolist, hits(texts, _PATTERNS)), strict=True):
        found[text].add(number)
    return [_request(numbers, text) for numbers, text in zip(found, texts, strict=True)]


def _request(numbers: set[int], text: bytes) -> Request:
    (refusal, works, no, judgement, assistant, faults, why, opinion, yes_or_no, wants) = (
        number in numbers for number in range(len(_PATTERNS))
    )
    return Request(
        asks_for_refusal=refusal,
        handles_a_no=works and no,
        asks_for_judgement=judgement,
        about_assistant=assistant,
        asks_for_faults=faults,
        asks_why=why,
        asks_opinion=opinion,
        asks_yes_or_no=yes_or_no,
        wants_text=wants,
        text=text[:_LONGEST_WORDS].decode(),
    )


def content_words(plain: str) -> frozenset[str]:
    """Return the words that say what a text is about, cut to stems of six letters."""
    return frozenset(word[:6] for word in _WORD.findall(plain) if word not in _COMMON)
