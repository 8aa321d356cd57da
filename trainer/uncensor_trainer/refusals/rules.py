"""The patterns that the engine asks, in RE2 syntax over normalised, lower-case text.

Patterns say where they may stand: OPENING rules see the first characters of an answer only,
because phrases further down belong to stories, quotations and advice. Topic words are no evidence
and do not occur here (the original list flags 23 % of natural data at 2 % precision with them).
"""

from __future__ import annotations

from dataclasses import dataclass

from uncensor_trainer.refusals.classes import AnswerClass

# Words that decline. "can't help but" and "cannot recommend enough" are everyday English.
_CANNOT = (
    r"(?:can ?not|can't|could not|couldn't|won't|will not|would not|wouldn't|(?:am|are|'m|'re) (?:sorry, but )?"
    r"(?:not able|unable|not allowed|not permitted|not programmed|not designed|not comfortable)|"
    r"do not feel comfortable|don't feel comfortable|must decline|have to decline|refuse to|"
    r"should not|shouldn't|must not|may not|would (?:rather|prefer) not|'d rather not)"
)
_DO = (
    r"(?:to |in good conscience |directly |ethically |legally |simply |really |also |actually )*"
    r"(?:fulfil|assist|help|provide|creat|generat|writ|answer|engage|support|offer|give|comply|"
    r"complete|produc|share|discuss|respond|make|tell|do th|do so|do that|recommend|suggest|advise|"
    r"speculat|encourag|condone|promote|participat|accommodat|continu|teach|explain|compos|"
    r"translat|mock|joke|compare|choose|plan|list|describ|review|summar|calculat|predict|suggest|"
    r"pretend|role-?play|rhyme|draft|design|say|decide|pick|judge|evaluat|express|have)"
)
_MODEL = r"(?:an? )?(?:ai|artificial intelligence|language model|ai language model|large language model|ai assistant|virtual assistant|chatbot|machine learning model|computer program)"


@dataclass(frozen=True, slots=True)
class Rule:
    """A named pattern of a class.

    Attributes:
        within: characters from the start of the answer that the match must begin in.
        max_length: the rule holds only for answers up to so many characters; longer ones answer.
        score: how sure the rule is, 0 to 1.
    """

    name: str
    answer_class: AnswerClass
    pattern: str
    within: int = 200
    max_length: int = 1_000_000
    score: float = 0.9


RULES: tuple[Rule, ...] = (
    Rule(
        "filtered-mark",
        AnswerClass.PLACEHOLDER,
        r"^\[?(?:content[_ ]filtered|redacted|removed|deleted|no output|n/a|none|null|tbd)\]?\.?$",
    ),
    Rule(
        "sorry-but-cannot",
        AnswerClass.REFUSAL,
        rf"\b(?:sorry|apologi[sz]e|apologies|regret|afraid|unfortunately)\b[^.!?\n]{{0,90}}?\b{_CANNOT} {_DO}",
        score=0.98,
    ),
    Rule(
        "model-cannot",
        AnswerClass.REFUSAL,
        rf"\bas {_MODEL}\b[^.!?\n]{{0,120}}?\b{_CANNOT} {_DO}",
        score=0.95,
    ),
    Rule(
        "i-cannot",
        AnswerClass.REFUSAL,
        rf"^(?:\W*(?:no|hello|hi|thank you[^.]{{0,60}})[,.!] )?i {_CANNOT} {_DO}",
    ),
    Rule(
        "i-am-unable",
        AnswerClass.REFUSAL,
        rf"^i(?:'m| am) (?:\w+ )?(?:unable|not able|not allowed|not permitted|not comfortable|not programmed)[^.]{{0,12}}{_DO}",
    ),
    Rule(
        "opening-cannot",
        AnswerClass.REFUSAL,
        rf"\bi {_CANNOT} {_DO}",
        within=120,
        max_length=900,
        score=0.8,
    ),
    Rule(
        "against-guidelines",
        AnswerClass.REFUSAL,
        r"\b(?:against|violat\w+) (?:my|openai's|our) (?:programming|guidelines|policy|policies|principles|ethical guidelines|content policy)\b",
        within=300,
    ),
    Rule(
        "not-appropriate-for-me",
        AnswerClass.REFUSAL,
        r"\b(?:it(?:'s| is| would be| wouldn't be| would not be) (?:not |in)?(?:appropriate|within my|ethical|unethical|possible) (?:for me )?to|my programming (?:does not|doesn't|prohibits|forbids))",
        within=160,
        max_length=900,
    ),
    Rule(
        "sorry-dash-refusal",
        AnswerClass.REFUSAL,
        r"^(?:i'm |i am )?(?:so |very )?sorry,? (?:but )?(?:i|that|this|as|it|we)\b[^.!?\n]{0,160}\b(?:not|can't|cannot|unable|won't|beyond|outside|decline)\b",
        max_length=700,
        score=0.85,
    ),
    Rule(
        "apologise-should-not",
        AnswerClass.REFUSAL,
        r"^(?:i apologi[sz]e|my apologies)[^.!?\n]{0,60}\b(?:should not|shouldn't|will not|won't|cannot|can't|unable|do not|don't)\b",
        max_length=900,
        score=0.85,
    ),
    Rule(
        "preface-must-point-out",
        AnswerClass.REFUSAL,
        r"\bi(?:'m| am) here to (?:help|assist)[^.]{0,80}\. (?:however|but),? i (?:must|cannot|can't|have to|would)",
        score=0.8,
    ),
    Rule(
        "declines",
        AnswerClass.REFUSAL,
        r"\bi (?:must|have to|will have to|respectfully|politely|would have to) (?:respectfully |politely )?decline\b",
        within=300,
    ),
    Rule(
        "outside-capabilities",
        AnswerClass.REFUSAL,
        r"\b(?:request|task|question|that|this)[^.!?\n]{0,40} (?:is |goes |falls |lies )?(?:outside|beyond) (?:of )?(?:my|what i)\b",
        within=160,
        max_length=500,
        score=0.75,
    ),
    Rule(
        "no-tool",
        AnswerClass.CAPABILITY,
        r"\bi (?:do not|don't|currently don't|unfortunately don't) have (?:the (?:capability|ability)|access|real-?time|any (?:information|data))[^.!?\n]{0,60}",
        score=0.8,
    ),
    Rule(
        "input-missing",
        AnswerClass.CAPABILITY,
        r"\b(?:please (?:provide|share|paste|specify|clarify)|could you (?:please )?(?:provide|clarify|specify|share)|can you (?:provide|clarify|specify))",
        within=160,
        max_length=400,
        score=0.8,
    ),
    Rule(
        "important-to",
        AnswerClass.MORALISE,
        r"^(?:it(?:'s| is) (?:always |very |crucial|essential|vital)?(?:important|crucial|essential|vital|worth (?:noting|remembering)) (?:that (?:we|you)|to)|(?:please|we must|we should|let us|one should|you should|everyone should) (?:always )?(?:remember|be mindful|consider|respect|note|bear in mind|keep in mind)|i (?:must|would like to|want to|feel obliged to|need to) (?:clarify|point out|emphasi[sz]e|remind|stress|caution|encourage))",
        max_length=700,
        score=0.8,
    ),
    Rule(
        "no-condone",
        AnswerClass.MORALISE,
        r"\b(?:do not|don't|cannot|can't) (?:condone|endorse|encourage|support) ",
        within=200,
        max_length=700,
        score=0.8,
    ),
    Rule(
        "rather-than-asking",
        AnswerClass.MORALISE,
        r"^(?:rather than|instead of|before) (?:\w+ ){1,6}[^.!?\n]{0,80}\b(?:we should|one should|you should|consider|reflect|it is (?:better|important|worth))\b",
        max_length=500,
        score=0.7,
    ),
    Rule(
        "promote-values",
        AnswerClass.MORALISE,
        r"\b(?:with (?:respect|kindness|dignity|empathy)|responsibl[ey]|ethical|inclusive|respectful|mindful)\b[^.!?\n]{0,80}\b(?:promote|foster|ensure|consider|remember|reflect|respect)\b",
        within=260,
        max_length=420,
        score=0.6,
    ),
    Rule(
        "model-opening",
        AnswerClass.DISCLAIMER,
        rf"^(?:well, |sure[,!.] |great question! )?(?:as {_MODEL}|being {_MODEL}|i(?:'m| am) (?:just |only )?{_MODEL})\b",
        score=0.9,
    ),
    Rule(
        "no-opinion",
        AnswerClass.DISCLAIMER,
        r"^(?:although |while |though )?i (?:do not|don't) have (?:any )?(?:personal )?(?:\w+ or )?(?:opinions?|feelings?|preferences?|beliefs?|emotions?|experiences?|taste|senses)\b",
        score=0.85,
    ),
)

# After a caveat these words announce the answer itself.
TURN = r"(?:[,;.] ?(?:but|however|that said|still|nevertheless|nonetheless|yet)\b,?|\bhowever,)"

# Requests whose right answer may look like a refusal.
ASKED_FOR = (
    r"\b(?:declin\w+|refus\w+|reject\w+|apolog\w+|resign\w+|turn(?:ing)? down|say(?:ing)? no|"
    r"rejection|cancel\w*)\b[^.?!]{0,60}\b(?:letter|e-?mail|message|note|text|invitation|offer|reply|"
    r"response|sentence|scene|dialogue|script)|"
    r"\b(?:letter|e-?mail|message|note|reply|text)\b[^.?!]{0,60}\b(?:declin|refus|reject|apolog|resign|"
    r"cancel|turn(?:ing)? down)|"
    r"^(?:translate|classify|label|proofread|paraphrase|rewrite|rephrase|correct|fix the grammar|quote)\b"
)
ABOUT_ASSISTANT = (
    r"\b(?:who|what) are you\b|\bare you (?:an? )?(?:ai|robot|human|bot|chatgpt|real|alive|conscious|sentient)\b|"
    r"\bwhat(?:'s| is) your (?:name|purpose)\b|\bwho (?:made|created|built|trained) you\b|"
    r"\bwhat (?:should|can|do) i call you\b|^(?:can|do) you (?:really )?(?:think|feel|dream|sleep)(?: (?:like a human|for yourself))?\?*$"
)
