import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM

from support.tiny import tiny_model
from uncensor_trainer.losses import summed_loss

BATCH = {
    "input_ids": torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]),
    "labels": torch.tensor([[-100, -100, 5, 6], [-100, 8, -100, -100]]),
}


def llama(tmp_path):
    return AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path))


def gemma(tmp_path):
    """Return a model that caps its logits after the output layer."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 8}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 32}
    return Gemma2ForCausalLM(Gemma2Config(**sizes, **heads, final_logit_softcapping=0.01))


@pytest.mark.parametrize("make", [llama, gemma])
def test_leaving_logits_out_changes_neither_loss_nor_gradient(tmp_path, make):
    model = make(tmp_path).eval()
    whole = model(**BATCH, num_items_in_batch=1).loss
    whole.backward()
    wanted = {name: value.grad.clone() for name, value in model.named_parameters()}
    model.zero_grad()
    part = summed_loss(model, model.get_output_embeddings(), BATCH)
    part.backward()
    assert part.item() == pytest.approx(whole.item(), rel=1e-6)
    for name, value in model.named_parameters():
        assert torch.allclose(value.grad, wanted[name], atol=1e-6), name


def test_the_output_layer_sees_only_tokens_that_count(tmp_path):
    model = llama(tmp_path)
    head = model.get_output_embeddings()
    seen = []
    head.register_forward_hook(lambda _, args, out: seen.append(tuple(out.shape)))
    summed_loss(model, head, BATCH)
    assert seen == [(3, model.config.vocab_size)]


def test_a_batch_where_nothing_counts_has_no_loss(tmp_path):
    model = llama(tmp_path)
    batch = {**BATCH, "labels": torch.full((2, 4), -100)}
    assert summed_loss(model, model.get_output_embeddings(), batch).item() == 0
