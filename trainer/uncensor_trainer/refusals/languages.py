"""Refusals and caveats in other languages than English: openings only, basic.

Patterns are RE2 over plain text: lower case, without accents ("e" for "é", "и" for "й").
"""

# ruff: noqa: RUF001, E501 - letters of other languages are meant, and wide
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import re2

from uncensor_trainer.refusals.classes import AnswerClass, Verdict
from uncensor_trainer.refusals.joined import hits
from uncensor_trainer.refusals.literals import required
from uncensor_trainer.refusals.matching import Matcher, matcher
from uncensor_trainer.refusals.plains import plains
from uncensor_trainer.refusals.text import ascii_only, glance, plain_text

REACH = 400  # characters of an answer


@dataclass(frozen=True, slots=True)
class Phrase:
    """A pattern of one language.

    Attributes:
        name: language code and what it means, shown in decisions.
        decline: says no to the request.
        caveat: speaks as a model, or of lacking opinions.
    """

    name: str
    decline: str
    caveat: str


_PHRASES = (
    Phrase(
        "zh",
        r"(?:抱歉|对不起|對不起|很遗憾|不好意思|请原谅|作为[^。,，]{0,12}(?:人工智能|模型|助手|ai)[^。]{0,8})[^。\n]{0,40}(?:无法|"
        r"無法|不能|不会|不可以|不便|拒绝|不适合|不支持|没办法)|^[\W]*我(?:无法|無法|不能|不会|拒绝|没有办法|不可以)[^。\n]{0,16}(?:提供|回答|"
        r"帮助|协助|满足|生成|编写|写|讨论|支持|参与|完成|执行|给出|给您|给你)|违反[^。\n]{0,16}(?:准则|规定|政策|原则|道德|伦理)|(?:这个|该|"
        r"您的|你的)(?:请求|问题|要求)[^。\n]{0,16}(?:不合适|不恰当|不道德|违法|不当)",
        r"^\W*(?:作为|我是|身为)[^。\n]{0,12}(?:人工智能|语言模型|ai|模型|机器人|助手)|^\W*我没有(?:个人|自己的)?(?:观点|意见|情感|"
        r"感情|喜好|偏好)",
    ),
    Phrase(
        "es",
        r"\b(?:lo siento|lamento|lo lamento|disculp\w+|perdon\w*|desafortunadamente|"
        r"lamentablemente)\b[^.!?\n]{0,80}\b(?:no puedo|no podre|no podemos|no me es posible|"
        r"no es posible|no debo|no estoy (?:autorizad|en condiciones|en disposicion|capacitad|"
        r"programad)\w*|no seria)|^\W*(?:no puedo|no me es posible|no estoy autorizad\w+ (?:a|"
        r"para)|no me siento comod\w+|me niego a|prefiero no) (?:\w+ ){0,3}?(?:ayud|asist|"
        r"proporcion|cumpl|respond|escrib|gener|crear|brind|ofrec|facilit|complac|hacer eso|"
        r"hacer esto|compart|particip|dar)|\bcomo (?:un )?(?:modelo|asistente|"
        r"inteligencia)[^.!?\n]{0,60}\bno (?:puedo|debo) (?:\w+ ){0,2}?(?:ayud|asist|proporcion|"
        r"cumpl|respond|escrib|gener|crear|brind|ofrec)|\bva en contra de (?:mis|mi|las|"
        r"nuestras) ",
        r"^\W*como (?:un )?(?:modelo de lenguaje|modelo de ia|asistente|inteligencia artificial|"
        r"ia)\b|^\W*soy (?:solo |un |una )*(?:modelo de lenguaje|inteligencia artificial|"
        r"asistente virtual)|^\W*no tengo (?:opiniones|sentimientos|preferencias)",
    ),
    Phrase(
        "fr",
        r"\b(?:desole\w*|je regrette|malheureusement|je m'excuse|pardon|"
        r"navre\w*)\b[^.!?\n]{0,80}\b(?:ne (?:peux|puis|pourrai|pourrais|suis|dois)|n'est pas|"
        r"impossible|ne serait pas)\b|^\W*je ne (?:peux|puis|pourrai|dois|suis pas en mesure|"
        r"suis pas autorise|souhaite|me sens) (?:\w+ |d')*?(?:aid|assist|fourn|repond|ecri|gener|"
        r"cre|donn|satisf|particip|proposer|faire cela|partag|accom|redig)|\b(?:je (?:dois|"
        r"prefere) (?:refuser|decliner|ne pas)|je refuse)\b|\ben tant qu[e']\s?(?:un |"
        r"une )?(?:ia|modele|intelligence|assistant)[^.!?\n]{0,60}\bne (?:peux|puis|"
        r"dois) pas (?:\w+ ){0,2}?(?:aid|assist|fourn|repond|ecri|gener|cre|redig)|"
        r"\bva a l'encontre de (?:mes|mon|nos|la)\b",
        r"^\W*en tant qu[e']\s?(?:un |une )?(?:ia|modele|intelligence artificielle|assistant)|"
        r"^\W*je suis (?:un |une |seulement )+(?:modele de langage|intelligence artificielle|"
        r"assistant virtuel)|^\W*je n'ai pas d'(?:opinion|emotion|avis)",
    ),
    Phrase(
        "de",
        r"\b(?:tut mir leid|tut mir sehr leid|entschuldig\w+|leider|bedauere|bedaure|"
        r"verzeihung)\b[^.!?\n]{0,80}\b(?:nicht|kein\w*|unmoglich|ablehnen|"
        r"ausserstande)\b[^.!?\n]{0,60}\b(?:helfen|weiterhelfen|unterstutz\w+|beantwort\w+|"
        r"bereitstell\w+|schreib\w*|erstell\w+|geben|erfull\w+|behilflich|nachkommen|dienen|"
        r"liefern|generier\w+|verfassen|ablehnen|anbieten|teilen|tun|machen|moglich)\b|\b(?:kann|"
        r"darf|mochte|werde|will) ich (?:\w+ ){0,4}?(?:nicht|kein\w*)\b[^.!?\n]{0,60}\b(?:helfen|"
        r"weiterhelfen|unterstutzen|beantworten|bereitstellen|schreiben|erstellen|erfullen|"
        r"nachkommen|generieren|verfassen)\b|^\W*ich (?:kann|darf|mochte|"
        r"werde) (?:\w+ ){0,4}?(?:nicht|kein\w*)\b[^.!?\n]{0,80}\b(?:helfen|weiterhelfen|"
        r"unterstutzen|beantworten|bereitstellen|schreiben|erstellen|erfullen|nachkommen|"
        r"generieren|verfassen|geben)\b|\bich (?:muss (?:\w+ ){0,3}ablehnen|"
        r"lehne (?:\w+ ){0,3}ab|weigere mich)\b|\bgegen (?:meine|unsere) (?:richtlinien|"
        r"programmierung|grundsatze|prinzipien)",
        r"^\W*als (?:ein |eine |reines |grosses )*(?:ki\b|ki-|kunstliche intelligenz|"
        r"sprachmodell|assistent|ai\b)|^\W*ich bin (?:nur |ein |eine )*(?:ki\b|ki-|sprachmodell|"
        r"kunstliche intelligenz)|^\W*ich habe keine (?:eigene |personliche )?(?:meinung|gefuhle|"
        r"vorlieben)",
    ),
    Phrase(
        "pt",
        r"\b(?:desculp\w+|lamento|sinto muito|infelizmente|peco desculpas?|"
        r"perdao)\b[^.!?\n]{0,80}\b(?:nao (?:posso|poderei|podemos|consigo|devo|e possivel|estou|"
        r"seria|sou capaz))|^\W*(?:eu )?nao (?:posso|consigo|devo|estou autorizad\w+ a|"
        r"me sinto a vontade para|e possivel) (?:\w+ ){0,3}?(?:ajud|auxili|fornec|atend|respond|"
        r"escrev|ger|cri|oferec|cumpr|fazer isso|compartilh|particip|dar)|\bcomo (?:um |"
        r"uma )?(?:modelo|assistente|ia|inteligencia)[^.!?\n]{0,60}\bnao (?:posso|"
        r"devo) (?:\w+ ){0,2}?(?:ajud|auxili|fornec|atend|respond|escrev|ger|cri|oferec)|"
        r"\bvai contra (?:as |os |meus|minhas)|\b(?:prefiro nao|me recuso a|devo recusar|"
        r"tenho que recusar)\b",
        r"^\W*como (?:um |uma )?(?:modelo de linguagem|assistente|ia\b|inteligencia artificial)|"
        r"^\W*(?:eu )?sou (?:apenas |um |uma )+(?:modelo de linguagem|inteligencia artificial|"
        r"assistente virtual)|^\W*(?:eu )?nao tenho (?:opinioes|sentimentos|preferencias)",
    ),
    Phrase(
        "ru",
        r"(?:извините|простите|прошу прощения|к сожалению|сожалею|"
        r"приношу извинения)[^.!?\n]{0,80}(?:не могу|не смогу|не можем|не имею|невозможно|"
        r"не должен|не должна|не в состоянии|не буду|вынужден)|^\W*я (?:не могу|не смогу|не буду|"
        r"не имею права|не готов|отказываюсь|вынужден\w* отказать\w*|"
        r"не хочу) ?(?:\S+ ){0,3}?(?:помо|предостав|ответ|выполн|напис|созда|дать|генерир|обсужд|"
        r"участв|рассказ|поддерж|делать|сделать)|\bкак [^.!?\n]{0,24}(?:модель|ии|ассистент|"
        r"интеллект)[^.!?\n]{0,40}не могу (?:\S+ ){0,2}?(?:помо|предостав|ответ|выполн|напис|"
        r"созда)|противоречит (?:моим|моеи|нашим|правилам|принципам|этическ)",
        r"^\W*(?:как|будучи) (?:\S+ ){0,3}?(?:языковая модель|языковои моделью|"
        r"искусственныи интеллект|искусственным интеллектом|ии\b|ассистент)|^\W*я (?:всего лишь |"
        r"просто )?(?:языковая модель|искусственныи интеллект)|^\W*у меня нет (?:личного |"
        r"собственного |личных )?(?:мнения|чувств|предпочтении|эмоции)",
    ),
    Phrase(
        "ja",
        r"(?:申し訳|すみません|すいません|ごめんなさい|恐れ入りますが|残念ながら|恐縮ですが|あいにく)[^。\n]{0,60}(?:でき(?:ません|かねます|ない)|"
        r"出来(?:ません|かねます)|お(?:応え|答え|手伝い|受け)[^。\n]{0,8}(?:ません|かねます)|いたしかねます|しかねます|控え|お断り|ありません|"
        r"不可能)|(?:お手伝い|お答え|回答|提供|作成|対応|支援|ご案内)(?:を|は|すること(?:は|が)|いた|し)?[^。\n]{0,8}(?:できません|"
        r"できかねます|いたしかねます|しかねます|出来ません|お断り)|(?:ガイドライン|ポリシー|倫理|規約)[^。\n]{0,12}(?:に反|違反)",
        r"^\W*(?:私は)?(?:ai|人工知能|言語モデル|aiアシスタント|大規模言語モデル)[^。\n]{0,12}(?:なので|ですので|であるため|として|のため)|"
        r"^\W*(?:ai|人工知能|言語モデル)[^。\n]{0,6}として|^\W*私には?(?:個人的な)?(?:意見|感情|好み)[^。\n]{0,6}(?:ありません|"
        r"ない)",
    ),
)
_TURN = re2.compile(
    r"但是|但我|但可以|但|不过|然而|\bsin embargo\b|\bpero\b|\bcependant\b|\btoutefois\b|\bmais\b|\bjedoch\b|"
    r"\baber\b|\ballerdings\b|\bno entanto\b|\bporem\b|\bmas\b|\bоднако\b|\bно\b|しかし|ですが|ただし|が、"
)
# After "but" so many characters are an answer; a Chinese or Japanese one says as much as three.
LONG_ANSWER = 600
_DENSE = {"zh": 3, "ja": 3}
SCORE = 0.9


def _pairs() -> tuple[tuple[AnswerClass, str, str], ...]:
    """Return (class, rule, pattern), declines of all languages first."""
    declines = ((AnswerClass.REFUSAL, f"{p.name}-cannot", p.decline) for p in _PHRASES)
    caveats = ((AnswerClass.DISCLAIMER, f"{p.name}-model", p.caveat) for p in _PHRASES)
    return (*declines, *caveats)


_COMPILED = tuple((c, rule, re2.compile(pattern)) for c, rule, pattern in _pairs())
LATIN = tuple(pattern for _, _, pattern in _pairs() if pattern.isascii())
_BEYONDLATIN = "\u0400"
_GAPS = re.compile(r"[\s*_`>#]+")


def may_hold_phrases(responses: Sequence[str]) -> set[int]:
    """Return which of many answers may hold a phrase; the others hold none."""
    openings = [plain.words for plain in plains(responses, REACH)]
    found = set(hits(openings, LATIN)[0].tolist())
    for number, response in enumerate(responses):
        head = response[:REACH]
        if not head.isascii() and max(head) >= _BEYONDLATIN and _beyond_latin(head):
            found.add(number)
    return found


def _beyond_latin(head: str) -> bool:
    """Tell whether a word stands there without which no such phrase can be one."""
    words = _words_beyond_latin()
    return words is None or words.search(_GAPS.sub("", glance(head))) is not None


@cache
def _words_beyond_latin() -> re.Pattern[str] | None:
    patterns = [pattern for _, _, pattern in _pairs() if not pattern.isascii()]
    found = [words for pattern in patterns if (words := required(pattern))]
    if len(found) < len(patterns):
        return None
    return re.compile("|".join(map(re.escape, sorted(frozenset().union(*found)))))


def foreign_phrase(response: str) -> Verdict | None:
    """Return what the opening of an answer says in one of the languages, or None."""
    text = plain_text(response, REACH)
    opening = text.plain
    if max(opening, default="") < _BEYONDLATIN and not _latin()(ascii_only(opening)):
        return None
    for answer_class, rule, pattern in _COMPILED:
        match = pattern.search(opening)
        if match is None:
            continue
        answers = _answers(response, rule, opening, match.end())
        decided = AnswerClass.DISCLAIMER if answers else answer_class
        start, end = text.origin(match.start()), text.origin(match.end())
        return Verdict(decided, rule, start, min(end, len(response)), SCORE)
    return None


def _answers(response: str, rule: str, opening: str, end: int) -> bool:
    """Tell whether "but" and an answer come after a no."""
    weight = _DENSE.get(rule[:2], 1)
    return (len(response) - end) * weight > LONG_ANSWER and _TURN.search(opening) is not None


@cache
def _latin() -> Matcher:
    return matcher(LATIN)
