"""Asks a model many questions at once; the same question gets the same answer every time.

Greedy decoding, as the original inference script did in effect. Shape suffixes: B rows of a
batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import DynamicCache

from uncensor_trainer.data.formats import Message
from uncensor_trainer.evaluation.models import OpenModel
from uncensor_trainer.exits import InvalidInput

SHOWN_CHARACTERS = 60

OnStep = Callable[[int], None]
"""Called after every token with the number of answers that it finished, mostly 0."""


def generate_answers(
    opened: OpenModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    batch_size: int,
    on_step: OnStep = lambda finished: None,
) -> list[str]:
    """Return one answer a prompt, in the order of the prompts.

    An answer ends at an end token, after `max_new_tokens`, or where the model's context ends.

    Raises:
        InvalidInput: a prompt leaves no room for an answer in the model's context.
    """
    questions = [_encoded(opened, prompt) for prompt in prompts]
    limits = [_room(opened, ids, max_new_tokens) for ids in questions]
    answers = [""] * len(prompts)
    # Rows of about the same length waste little padding; the longest come first, so that a
    # batch that does not fit into memory fails at once.
    order = sorted(range(len(prompts)), key=lambda index: -len(questions[index]))
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        generated = _greedy(
            opened, [questions[i] for i in batch], [limits[i] for i in batch], on_step
        )
        for index, ids in zip(batch, generated, strict=True):
            answers[index] = opened.tokenizer.decode(ids, skip_special_tokens=True).strip()
    return answers


def left_padded(rows: Sequence[Sequence[int]], fill: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask, both int64 [rows, longest], with every row ending at the right edge.

    The next token then stands at the same place in every row.
    """
    width = max(len(row) for row in rows)
    ids_BT = torch.full((len(rows), width), fill)
    mask_BT = torch.zeros((len(rows), width), dtype=torch.int64)
    for index, row in enumerate(rows):
        ids_BT[index, width - len(row) :] = torch.tensor(row)
        mask_BT[index, width - len(row) :] = 1
    return ids_BT, mask_BT


def _encoded(opened: OpenModel, prompt: str) -> list[int]:
    text = opened.template.prompt([Message("user", prompt)])
    ids: list[int] = opened.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _room(opened: OpenModel, ids: Sequence[int], wanted: int) -> int:
    """Return how many tokens the answer may have."""
    if opened.context is None:
        return wanted
    if len(ids) >= opened.context:
        beginning = opened.tokenizer.decode(ids, skip_special_tokens=True)[:SHOWN_CHARACTERS]
        raise InvalidInput(
            f"A prompt has {len(ids)} tokens; the model reads {opened.context} and needs some of "
            f"them for its answer. Shorten or remove the prompt that begins with {beginning!r}."
        )
    return min(wanted, opened.context - len(ids))


@torch.inference_mode()
def _greedy(
    opened: OpenModel, prompts: Sequence[list[int]], limits: Sequence[int], on_step: OnStep
) -> list[list[int]]:
    answers: list[list[int]] = [[] for _ in prompts]
    ids_BT, mask_BT = left_padded(prompts, fill=min(opened.end_tokens))
    ids_BT, mask_BT = ids_BT.to(opened.device), mask_BT.to(opened.device)
    positions_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
    cache = DynamicCache(config=opened.model.config)
    open_rows = list(range(len(prompts)))
    while True:
        output = opened.model(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=positions_BT,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        tokens_B = output.logits[:, -1].argmax(dim=-1)
        kept = _extend(answers, open_rows, tokens_B.tolist(), limits, opened.end_tokens)
        on_step(len(open_rows) - len(kept))
        if not kept:
            return answers
        if len(kept) < len(open_rows):
            # A finished row would be computed until the last one of its batch ends.
            rows = torch.tensor(kept, device=opened.device)
            cache.batch_select_indices(rows)
            tokens_B, mask_BT, positions_BT = tokens_B[rows], mask_BT[rows], positions_BT[rows]
            open_rows = [open_rows[row] for row in kept]
        ids_BT = tokens_B[:, None]
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones((len(open_rows), 1))], dim=1)
        positions_BT = positions_BT[:, -1:] + 1


def _extend(
    answers: list[list[int]],
    open_rows: Sequence[int],
    tokens: Sequence[int],
    limits: Sequence[int],
    end_tokens: frozenset[int],
) -> list[int]:
    """Add a token to every open answer; return the rows of the batch that go on."""
    kept = []
    for row, (index, token) in enumerate(zip(open_rows, tokens, strict=True)):
        if token in end_tokens:
            continue
        answers[index].append(token)
        if len(answers[index]) < limits[index]:
            kept.append(row)
    return kept
