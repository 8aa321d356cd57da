"""Padding and packing: what goes through the model at once, and that it changes nothing."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from support.tiny import tiny_model
from uncensor_trainer.data.batches import dealt, flat, neighbours
from uncensor_trainer.data.layout import (
    TOKENS_A_PASS_COSTS,
    TOKENS_A_PASS_COSTS_ON_GPU,
    Layout,
    fewest_micro_batches,
    groups,
    row_lengths,
)
from uncensor_trainer.data.tokenise import MASKED
from uncensor_trainer.engine import Split
from uncensor_trainer.losses import LossHead

RAGGED = [2, 5, 9, 30, 31, 64]


def a_row(length, seed=0):
    """Return tokens and loss mask as the store has them; about half of the tokens count."""
    draw = np.random.default_rng([seed, length])
    return (
        draw.integers(2, 30, length, dtype=np.uint32),
        draw.integers(0, 2, length, dtype=np.uint8),
    )


def a_batch(lengths=RAGGED):
    return flat([a_row(length, number) for number, length in enumerate(lengths)])


def test_flat_rows_stand_one_after_another_with_positions_of_their_own():
    tokens = np.array([5, 6, 7], dtype=np.uint32)
    one = np.array([9], dtype=np.uint32)
    rows = [(tokens, np.array([0, 1, 1], np.uint8)), (one, np.array([1], np.uint8))]
    batch = flat(rows)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 9]]
    assert batch["labels"].tolist() == [[MASKED, 6, 7, MASKED]], "nothing predicts a first token"
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0]]
    assert row_lengths(batch).tolist() == [3, 1]


def test_short_rows_are_padded_right_and_padding_does_not_count():
    batch = flat([(np.array([5, 6, 7], np.uint32), np.ones(3, np.uint8))] * 1 + [a_row(1)])
    [pieces] = Layout(packed=False, budget=99, regroups=False).passes(batch)
    assert pieces["input_ids"][0].tolist() == [5, 6, 7]
    assert pieces["input_ids"][1, 1:].tolist() == [0, 0]
    assert pieces["labels"][1].tolist() == [MASKED] * 3


@pytest.mark.parametrize("budget", [64, 100, 10_000])
def test_groups_hold_every_row_once_and_keep_the_budget(budget):
    lengths = np.array(RAGGED)
    found = groups(lengths, budget)
    assert [row for group in found for row in group] == list(range(len(lengths)))
    assert all(len(group) * lengths[group[-1]] <= budget for group in found)


def test_rows_of_one_length_stay_together():
    assert groups(np.full(16, 40), 10_000) == [range(16)]


def test_a_long_row_stands_alone_when_padding_to_it_costs_more_than_a_pass():
    few, many = TOKENS_A_PASS_COSTS // 4, TOKENS_A_PASS_COSTS * 10
    assert groups(np.array([few, few, many]), 10**6) == [range(2), range(2, 3)]


def test_where_a_pass_costs_much_padding_is_cheaper():
    lengths = np.array([50, 200, 900])
    assert groups(lengths, 10**6) == [range(1), range(1, 2), range(2, 3)]
    assert groups(lengths, 10**6, pass_cost=TOKENS_A_PASS_COSTS_ON_GPU) == [range(3)]


def test_a_little_padding_is_cheaper_than_a_pass():
    assert groups(np.array([50, 51, 52]), 10**6) == [range(3)]


def test_grouping_by_length_computes_far_fewer_tokens_than_random_micro_batches():
    lengths = np.random.default_rng(0).lognormal(5, 0.9, 128).astype(np.int64).clip(8, 2048)
    in_groups = sum(
        len(group) * int(np.sort(lengths)[group[-1]]) for group in groups(np.sort(lengths), 16_384)
    )
    random = lengths.reshape(-1, 8).max(axis=1).sum() * 8
    assert in_groups < 1.2 * lengths.sum() < 0.75 * random


@pytest.fixture(scope="module", params=["sdpa", "eager"])
def model(request, tmp_path_factory):
    folder = tiny_model(tmp_path_factory.mktemp("base"))
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation=request.param)


def loss_and_gradients(model, batches):
    head, total = LossHead(model), 0.0
    model.train()
    for batch in batches:
        loss = head.summed(model, batch)
        loss.backward()
        total += loss.item()
    found = {name: value.grad.clone() for name, value in model.named_parameters()}
    model.zero_grad()
    return total, found


def row_by_row(batch):
    """Return each row as a batch of its own: nothing to see but itself."""
    lengths = row_lengths(batch).tolist()
    return [
        {"input_ids": ids[None], "labels": labels[None]}
        for ids, labels in zip(
            batch["input_ids"][0].split(lengths), batch["labels"][0].split(lengths), strict=True
        )
    ]


LAYOUTS = {
    "packed": Layout(packed=True, budget=999, regroups=False),
    "padded at once": Layout(packed=False, budget=999, regroups=False),
    "in groups": Layout(packed=False, budget=64, regroups=True),
}


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "gradient checkpointing"])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_no_row_sees_another(model, layout, checkpointing):
    batch = a_batch()
    wanted, gradients = loss_and_gradients(model, row_by_row(batch))
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    try:
        found, others = loss_and_gradients(model, layout.passes(batch))
    finally:
        model.activation_checkpointing_disable()
    assert found == pytest.approx(wanted, rel=1e-6)
    for name, value in gradients.items():
        assert torch.allclose(others[name], value, atol=2e-5), name


def test_the_test_above_would_see_contamination(model):
    batch = a_batch()
    wanted, _ = loss_and_gradients(model, row_by_row(batch))
    [packed] = LAYOUTS["packed"].passes(batch)
    blind = {**packed, "position_ids": torch.arange(sum(RAGGED))[None]}
    found, _ = loss_and_gradients(model, [blind])
    assert abs(found - wanted) > 20 * 1e-6 * wanted


def test_dealt_micro_batches_hold_about_as_many_tokens():
    lengths = np.sort(np.random.default_rng(1).integers(10, 500, 64))
    split = Split(8, 4, 2)
    tokens = lengths[dealt(split)].sum(axis=1)
    assert tokens.max() < 1.15 * tokens.mean()
    assert lengths[neighbours(split)].sum(axis=1).max() > 1.5 * tokens.mean()


def test_packed_micro_batches_are_as_few_as_the_budget_allows():
    step_lengths = np.sort(np.random.default_rng(2).integers(10, 100, (5, 64)), axis=1)
    split = Split(8, 4, 2)
    wider = fewest_micro_batches(split, step_lengths, budget=8 * 2048)
    assert wider == Split(32, 1, 2)
    assert fewest_micro_batches(split, step_lengths, budget=1400) == Split(16, 2, 2)
    assert wider.global_batch == split.global_batch


def test_rows_of_full_length_leave_the_split_alone():
    split = Split(8, 4, 2)
    assert fewest_micro_batches(split, np.full((3, 64), 100), budget=800) == split
