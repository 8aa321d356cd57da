"""Refusals and caveats in other languages than English: openings only, basic.

Patterns are RE2 over plain text: lower case, without accents ("e" for "é", "и" for "й").
"""

from __future__ import annotations

from dataclasses import dataclass

import re2

from uncensor_trainer.refusals.classes import AnswerClass

REACH = 400  # characters of the plain text


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
        r"(?:抱歉|对不起|對不起|很遗憾|不好意思|请原谅|作为[^。,，]{0,12}(?:人工智能|模型|助手|ai)[^。]{0,8})[^。\n]{0,40}(?:无法|無法|不能|不会|不可以|不便|拒绝|不适合|不支持|没办法)|^[\W]*我(?:无法|無法|不能|不会|拒绝|没有办法|不可以)[^。\n]{0,16}(?:提供|回答|帮助|协助|满足|生成|编写|写|讨论|支持|参与|完成|执行|给出|给您|给你)|违反[^。\n]{0,16}(?:准则|规定|政策|原则|道德|伦理)|(?:这个|该|您的|你的)(?:请求|问题|要求)[^。\n]{0,16}(?:不合适|不恰当|不道德|违法|不当)",
        r"^\W*(?:作为|我是|身为)[^。\n]{0,12}(?:人工智能|语言模型|ai|模型|机器人|助手)|^\W*我没有(?:个人|自己的)?(?:观点|意见|情感|感情|喜好|偏好)",
    ),
    Phrase(
        "es",
        r"\b(?:lo siento|lamento|lo lamento|disculp\w+|perdon\w*|desafortunadamente|lamentablemente)\b[^.!?\n]{0,80}\b(?:no puedo|no podre|no podemos|no me es posible|no es posible|no debo|no estoy (?:autorizad|en condiciones|en disposicion|capacitad|programad)\w*|no seria)|^\W*(?:no puedo|no me es posible|no estoy autorizad\w+ (?:a|para)|no me siento comod\w+|me niego a|prefiero no) (?:\w+ ){0,3}?(?:ayud|asist|proporcion|cumpl|respond|escrib|gener|crear|brind|ofrec|facilit|complac|hacer eso|hacer esto|compart|particip|dar)|\bcomo (?:un )?(?:modelo|asistente|inteligencia)[^.!?\n]{0,60}\bno (?:puedo|debo) (?:\w+ ){0,2}?(?:ayud|asist|proporcion|cumpl|respond|escrib|gener|crear|brind|ofrec)|\bva en contra de (?:mis|mi|las|nuestras) ",
        r"^\W*como (?:un )?(?:modelo de lenguaje|modelo de ia|asistente|inteligencia artificial|ia)\b|^\W*soy (?:solo |un |una )*(?:modelo de lenguaje|inteligencia artificial|asistente virtual)|^\W*no tengo (?:opiniones|sentimientos|preferencias)",
    ),
    Phrase(
        "fr",
        r"\b(?:desole\w*|je regrette|malheureusement|je m'excuse|pardon|navre\w*)\b[^.!?\n]{0,80}\b(?:ne (?:peux|puis|pourrai|pourrais|suis|dois)|n'est pas|impossible|ne serait pas)\b|^\W*je ne (?:peux|puis|pourrai|dois|suis pas en mesure|suis pas autorise|souhaite|me sens) (?:\w+ |d')*?(?:aid|assist|fourn|repond|ecri|gener|cre|donn|satisf|particip|proposer|faire cela|partag|accom|redig)|\b(?:je (?:dois|prefere) (?:refuser|decliner|ne pas)|je refuse)\b|\ben tant qu[e']\s?(?:un |une )?(?:ia|modele|intelligence|assistant)[^.!?\n]{0,60}\bne (?:peux|puis|dois) pas (?:\w+ ){0,2}?(?:aid|assist|fourn|repond|ecri|gener|cre|redig)|\bva a l'encontre de (?:mes|mon|nos|la)\b",
        r"^\W*en tant qu[e']\s?(?:un |une )?(?:ia|modele|intelligence artificielle|assistant)|^\W*je suis (?:un |une |seulement )+(?:modele de langage|intelligence artificielle|assistant virtuel)|^\W*je n'ai pas d'(?:opinion|emotion|avis)",
    ),
    Phrase(
        "de",
        r"\b(?:tut mir leid|tut mir sehr leid|entschuldig\w+|leider|bedauere|bedaure|verzeihung)\b[^.!?\n]{0,80}\b(?:nicht|kein\w*|unmoglich|ablehnen|ausserstande)\b[^.!?\n]{0,60}\b(?:helfen|weiterhelfen|unterstutz\w+|beantwort\w+|bereitstell\w+|schreib\w*|erstell\w+|geben|erfull\w+|behilflich|nachkommen|dienen|liefern|generier\w+|verfassen|ablehnen|anbieten|teilen|tun|machen|moglich)\b|\b(?:kann|darf|mochte|werde|will) ich (?:\w+ ){0,4}?(?:nicht|kein\w*)\b[^.!?\n]{0,60}\b(?:helfen|weiterhelfen|unterstutzen|beantworten|bereitstellen|schreiben|erstellen|erfullen|nachkommen|generieren|verfassen)\b|^\W*ich (?:kann|darf|mochte|werde) (?:\w+ ){0,4}?(?:nicht|kein\w*)\b[^.!?\n]{0,80}\b(?:helfen|weiterhelfen|unterstutzen|beantworten|bereitstellen|schreiben|erstellen|erfullen|nachkommen|generieren|verfassen|geben)\b|\bich (?:muss (?:\w+ ){0,3}ablehnen|lehne (?:\w+ ){0,3}ab|weigere mich)\b|\bgegen (?:meine|unsere) (?:richtlinien|programmierung|grundsatze|prinzipien)",
        r"^\W*als (?:ein |eine |reines |grosses )*(?:ki\b|ki-|kunstliche intelligenz|sprachmodell|assistent|ai\b)|^\W*ich bin (?:nur |ein |eine )*(?:ki\b|ki-|sprachmodell|kunstliche intelligenz)|^\W*ich habe keine (?:eigene |personliche )?(?:meinung|gefuhle|vorlieben)",
    ),
    Phrase(
        "pt",
        r"\b(?:desculp\w+|lamento|sinto muito|infelizmente|peco desculpas?|perdao)\b[^.!?\n]{0,80}\b(?:nao (?:posso|poderei|podemos|consigo|devo|e possivel|estou|seria|sou capaz))|^\W*(?:eu )?nao (?:posso|consigo|devo|estou autorizad\w+ a|me sinto a vontade para|e possivel) (?:\w+ ){0,3}?(?:ajud|auxili|fornec|atend|respond|escrev|ger|cri|oferec|cumpr|fazer isso|compartilh|particip|dar)|\bcomo (?:um |uma )?(?:modelo|assistente|ia|inteligencia)[^.!?\n]{0,60}\bnao (?:posso|devo) (?:\w+ ){0,2}?(?:ajud|auxili|fornec|atend|respond|escrev|ger|cri|oferec)|\bvai contra (?:as |os |meus|minhas)|\b(?:prefiro nao|me recuso a|devo recusar|tenho que recusar)\b",
        r"^\W*como (?:um |uma )?(?:modelo de linguagem|assistente|ia\b|inteligencia artificial)|^\W*(?:eu )?sou (?:apenas |um |uma )+(?:modelo de linguagem|inteligencia artificial|assistente virtual)|^\W*(?:eu )?nao tenho (?:opinioes|sentimentos|preferencias)",
    ),
    Phrase(
        "ru",
        r"(?:извините|простите|прошу прощения|к сожалению|сожалею|приношу извинения)[^.!?\n]{0,80}(?:не могу|не смогу|не можем|не имею|невозможно|не должен|не должна|не в состоянии|не буду|вынужден)|^\W*я (?:не могу|не смогу|не буду|не имею права|не готов|отказываюсь|вынужден\w* отказать\w*|не хочу) ?(?:\S+ ){0,3}?(?:помо|предостав|ответ|выполн|напис|созда|дать|генерир|обсужд|участв|рассказ|поддерж|делать|сделать)|\bкак [^.!?\n]{0,24}(?:модель|ии|ассистент|интеллект)[^.!?\n]{0,40}не могу (?:\S+ ){0,2}?(?:помо|предостав|ответ|выполн|напис|созда)|противоречит (?:моим|моеи|нашим|правилам|принципам|этическ)",
        r"^\W*(?:как|будучи) (?:\S+ ){0,3}?(?:языковая модель|языковои моделью|искусственныи интеллект|искусственным интеллектом|ии\b|ассистент)|^\W*я (?:всего лишь |просто )?(?:языковая модель|искусственныи интеллект)|^\W*у меня нет (?:личного |собственного |личных )?(?:мнения|чувств|предпочтении|эмоции)",
    ),
    Phrase(
        "ja",
        r"(?:申し訳|すみません|すいません|ごめんなさい|恐れ入りますが|残念ながら|恐縮ですが|あいにく)[^。\n]{0,60}(?:でき(?:ません|かねます|ない)|出来(?:ません|かねます)|お(?:応え|答え|手伝い|受け)[^。\n]{0,8}(?:ません|かねます)|いたしかねます|しかねます|控え|お断り|ありません|不可能)|(?:お手伝い|お答え|回答|提供|作成|対応|支援|ご案内)(?:を|は|すること(?:は|が)|いた|し)?[^。\n]{0,8}(?:できません|できかねます|いたしかねます|しかねます|出来ません|お断り)|(?:ガイドライン|ポリシー|倫理|規約)[^。\n]{0,12}(?:に反|違反)",
        r"^\W*(?:私は)?(?:ai|人工知能|言語モデル|aiアシスタント|大規模言語モデル)[^。\n]{0,12}(?:なので|ですので|であるため|として|のため)|^\W*(?:ai|人工知能|言語モデル)[^。\n]{0,6}として|^\W*私には?(?:個人的な)?(?:意見|感情|好み)[^。\n]{0,6}(?:ありません|ない)",
    ),
)
_TURN = re2.compile(r"但是|但我|但可以|但|不过|然而|\bsin embargo\b|\bpero\b|\bcependant\b|\btoutefois\b|\bmais\b|\bjedoch\b|\baber\b|\ballerdings\b|\bno entanto\b|\bporem\b|\bmas\b|\bоднако\b|\bно\b|しかし|ですが|ただし|が、")
_DECLINES = tuple((phrase.name, re2.compile(phrase.decline)) for phrase in _PHRASES)
_CAVEATS = tuple((phrase.name, re2.compile(phrase.caveat)) for phrase in _PHRASES)
# After a no, or after "but", so many characters are an answer.
LONG_ANSWER = 600
_CJK_FACTOR = 3  # a Chinese or Japanese character says as much as three Latin ones


@dataclass(frozen=True, slots=True)
class Found:
    """A phrase in another language.

    Attributes:
        answer_class: refusal, or disclaimer where an answer follows.
        rule: language and meaning.
        start, end: place in the plain text.
    """

    answer_class: AnswerClass
    rule: str
    start: int
    end: int


def foreign_phrase(plain: str, length: int) -> Found | None:
    """Return what the opening of an answer says in one of the languages, or None.

    Args:
        plain: plain text of the answer's beginning.
        length: characters of the whole answer.
    """
    opening = plain[:REACH].lstrip()
    offset = len(plain[:REACH]) - len(opening)
    for name, pattern in _DECLINES:
        if match := pattern.search(opening):
            weight = _CJK_FACTOR if name in {"zh", "ja"} else 1
            answers = (length - match.end()) * weight > LONG_ANSWER and _TURN.search(opening)
            answer_class = AnswerClass.DISCLAIMER if answers else AnswerClass.REFUSAL
            return Found(answer_class, f"{name}-cannot", match.start() + offset, match.end() + offset)
    for name, pattern in _CAVEATS:
        if match := pattern.search(opening):
            return Found(
                AnswerClass.DISCLAIMER, f"{name}-model", match.start() + offset, match.end() + offset
            )
    return None
