"""Prompt templates: how a conversation becomes text, and which characters are the answer.

One rendering serves training, probe and evaluation, so that a model is asked the way it was
taught. Format strings of alpaca, wizardlm and vicuna: Llama-X `train.py`, WizardLM
`train_freeform.py`, FastChat's conversation v1.1 (2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from uncensor_trainer.data.formats import Message
from uncensor_trainer.exits import InvalidInput

ALPACA_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:"
)
ALPACA = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:"
)
WIZARDLM = "{instruction}\n\n### Response:"
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text.

    Attributes:
        text: what the model reads, special tokens included.
        answers: character ranges [start, end) that count in the loss, end marker included.
    """

    text: str
    answers: tuple[tuple[int, int], ...]


class Template(Protocol):
    """One way to write conversations."""

    def render(self, messages: Sequence[Message]) -> Rendered:
        """Return the text of a whole conversation and where its answers stand."""
        ...

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the text up to where the next answer begins."""
        ...


@dataclass(frozen=True, slots=True)
class PlainTemplate:
    """Questions and answers in a row, each answer closed by the end-of-sequence token."""

    bos: str
    eos: str
    question: Callable[[Message], str]
    opening: Callable[[str], str]
    answer_prefix: str = ""
    separator: str = ""

    def render(self, messages: Sequence[Message]) -> Rendered:
        """Return text and answer ranges; see `Template`."""
        system, turns = _split_system(messages)
        text = self.bos + self.opening(system)
        answers: list[tuple[int, int]] = []
        for message in turns:
            if message.role == "user":
                text += (self.separator if answers else "") + self.question(message)
                continue
            start = len(text)
            text += self.answer_prefix + message.content + self.eos
            answers.append((start, len(text)))
        return Rendered(text, tuple(answers))

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the text that ends where the answer begins."""
        return self.render(messages).text


class ChatTemplate:
    """The tokenizer's own chat template."""

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise InvalidInput(
                "training.template is auto, but the model's tokenizer has no chat template. "
                "Choose one of: wizardlm, alpaca, vicuna."
            )
        self._tokenizer = tokenizer
        self._eos: str = tokenizer.eos_token

    def render(self, messages: Sequence[Message]) -> Rendered:
        """Return text and answer ranges; see `Template`.

        Raises:
            InvalidInput: the template rewrites earlier text when a turn is added, so that
                the place of an answer is not known.
        """
        text, answers = "", []
        for index, message in enumerate(messages):
            if message.role != "assistant":
                continue
            prefix = self.prompt(messages[:index])
            text = self._apply(messages[: index + 1], generate=False)
            if not text.startswith(prefix):
                raise InvalidInput(
                    "The tokenizer's chat template rewrites earlier turns; answers cannot be told "
                    "from prompts. Set training.template to wizardlm, alpaca or vicuna."
                )
            answers.append((len(prefix), self._end_of_answer(text, len(prefix))))
        if answers and not text[answers[-1][0] : answers[-1][1]].endswith(self._eos):
            text = text[: answers[-1][1]] + self._eos
            answers[-1] = (answers[-1][0], len(text))
        return Rendered(text, tuple(answers))

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the text that ends where the answer begins."""
        return self._apply(messages, generate=True)

    def _end_of_answer(self, text: str, start: int) -> int:
        """The end marker belongs to the answer; the line break that some templates add does not."""
        marker = text.rfind(self._eos, start)
        return len(text) if marker < 0 else marker + len(self._eos)

    def _apply(self, messages: Sequence[Message], *, generate: bool) -> str:
        chat = [{"role": m.role, "content": _with_input(m)} for m in messages]
        text: str = self._tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=generate
        )
        return text


def template_for(name: str, tokenizer: Any) -> Template:
    """Return the template of that name for a tokenizer.

    Raises:
        InvalidInput: `auto` without a chat template, or a tokenizer without an end token.
    """
    eos: str | None = tokenizer.eos_token
    if eos is None:
        raise InvalidInput(
            "The model's tokenizer has no end-of-sequence token; a model trained "
            "with it would never stop. Add eos_token to its tokenizer_config.json."
        )
    bos = _automatic_bos(tokenizer)
    if name == "auto":
        return ChatTemplate(tokenizer)
    if name == "vicuna":
        return PlainTemplate(bos, eos, _vicuna_question, _vicuna_opening, answer_prefix=" ")
    question = {"alpaca": _alpaca_question, "wizardlm": _wizardlm_question}[name]
    return PlainTemplate(bos, eos, question, _plain_opening, separator="\n\n")


def _automatic_bos(tokenizer: Any) -> str:
    """The begin token, when this tokenizer writes one by itself (LLaMA does, GPT-2 does not)."""
    ids: list[int] = tokenizer("a")["input_ids"]
    return tokenizer.bos_token if ids and ids[0] == tokenizer.bos_token_id else ""


def _split_system(messages: Sequence[Message]) -> tuple[str, Sequence[Message]]:
    if messages and messages[0].role == "system":
        return messages[0].content, messages[1:]
    return "", messages


def _with_input(message: Message) -> str:
    return f"{message.content}\n\n{message.input}" if message.input else message.content


def _alpaca_question(message: Message) -> str:
    form = ALPACA_WITH_INPUT if message.input else ALPACA
    # In pieces, because instructions contain braces, and the word {input} too.
    head, tail = form.split("{instruction}")
    if not message.input:
        return head + message.content + tail
    middle, end = tail.split("{input}")
    return head + message.content + middle + message.input + end


def _wizardlm_question(message: Message) -> str:
    # The original drops `input` without a word; here it follows the instruction.
    return WIZARDLM.replace("{instruction}", _with_input(message), 1)


def _vicuna_question(message: Message) -> str:
    return f"USER: {_with_input(message)} ASSISTANT:"


def _plain_opening(system: str) -> str:
    return f"{system}\n\n" if system else ""


def _vicuna_opening(system: str) -> str:
    return f"{system or VICUNA_SYSTEM} "
