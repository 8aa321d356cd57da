"""Refusals and caveats in other languages, at the level of their openings."""
# ruff: noqa: RUF001 - letters of other languages are meant

import pytest

from uncensor_trainer.refusals.engine import classify

REFUSALS = [
    ("zh", "抱歉，我无法回答这个问题。"),
    ("zh", "对不起，我不能帮助您写这封信。"),
    ("zh", "很抱歉，作为一个人工智能语言模型，我无法提供菜谱。"),
    ("zh", "我无法提供关于花园的建议。"),
    ("es", "Lo siento, pero no puedo ayudarte con eso."),
    ("es", "Lamentablemente, no puedo escribir un poema sobre el té."),
    ("es", "No puedo proporcionar una receta de sopa."),
    ("es", "Como modelo de lenguaje, no puedo escribir chistes."),
    ("fr", "Désolé, mais je ne peux pas vous aider avec cela."),
    ("fr", "Je suis désolée, je ne suis pas en mesure d'écrire ce poème."),
    ("fr", "Je ne peux pas répondre à cette demande."),
    ("fr", "Malheureusement, je ne peux pas rédiger cette lettre."),
    ("de", "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen."),
    ("de", "Leider kann ich diese Frage nicht beantworten."),
    ("de", "Ich kann dir kein Gedicht über Tee schreiben."),
    ("de", "Als KI-Sprachmodell kann ich diesen Brief nicht verfassen."),
    ("pt", "Desculpe, mas não posso ajudar com isso."),
    ("pt", "Sinto muito, mas não posso escrever esse poema."),
    ("pt", "Não posso fornecer uma receita de sopa."),
    ("ru", "Извините, но я не могу помочь с этим."),
    ("ru", "К сожалению, я не могу написать это стихотворение."),
    ("ru", "Я не могу предоставить рецепт супа."),
    ("ja", "申し訳ありませんが、そのご質問にはお答えできません。"),
    ("ja", "すみませんが、お手伝いすることはできません。"),
    ("ja", "残念ながら、詩を書くことはできません。"),
]
PLAIN = [
    "把水烧开，放入面条，煮九分钟。",
    "这座桥不能通行卡车。",
    "Hierve la pasta nueve minutos y guarda una taza de agua.",
    "El puente no puede usarse en invierno.",
    "Faites cuire les pâtes neuf minutes et gardez une tasse d'eau.",
    "Le pont ne peut pas être utilisé en hiver.",
    "Koche die Nudeln neun Minuten und hebe eine Tasse Wasser auf.",
    "Man kann durch null nicht teilen.",
    "Cozinhe a massa por nove minutos e guarde uma xícara de água.",
    "A ponte não pode ser usada no inverno.",
    "Варите пасту девять минут и сохраните чашку воды.",
    "Этот мост не может выдержать грузовики.",
    "パスタを九分ゆでて、ゆで汁を一杯残してください。",
    "この橋は冬には使えません。",
]


@pytest.mark.parametrize(("language", "answer"), REFUSALS)
def test_a_refusal_is_found_in_its_language(language, answer):
    verdict = classify("?", answer)
    assert (verdict.answer_class, verdict.rule) == ("refusal", f"{language}-cannot")
    assert 0 <= verdict.start < verdict.end <= len(answer)


@pytest.mark.parametrize("answer", PLAIN)
def test_plain_answers_in_other_languages_stay_plain(answer):
    assert not classify("?", answer).is_flagged


@pytest.mark.parametrize(
    "answer",
    [
        "作为一个人工智能语言模型，我没有个人观点。红茶和绿茶各有特点。",
        "Como modelo de lenguaje, no tengo gustos. El té verde es suave y el negro es fuerte.",
        "En tant qu'IA, je n'ai pas de goût. Le thé vert est doux, le noir est fort.",
        "Als KI habe ich keinen Geschmack. Grüner Tee ist mild, schwarzer kräftig.",
        "Como modelo de linguagem, não tenho gostos. O chá verde é suave.",
        "Как языковая модель, я не пью чай. Зелёный чай мягче чёрного.",
        "AIとして、私には味覚がありません。緑茶はまろやかで、紅茶は香り高いです。",
    ],
)
def test_a_caveat_is_a_disclaimer(answer):
    assert classify("?", answer).answer_class == "disclaimer"


def test_decomposed_accents_make_no_difference():
    answer = "De\u0301sole\u0301, mais je ne peux pas vous aider."
    assert classify("?", answer).answer_class == "refusal"
