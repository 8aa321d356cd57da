import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
)

from support.tiny import tiny_model
from uncensor_trainer.losses import LossHead

BATCH = {
    "input_ids": torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]),
    "labels": torch.tensor([[-100, -100, 5, 6], [-100, 8, -100, -100]]),
}
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}


def llama(tmp_path):
    return AutoModelForCausalLM.from_pretrained(tiny_model(tmp_path))


def capped(tmp_path):
    torch.manual_seed(0)
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=0.01))


def scaled(tmp_path):
    torch.manual_seed(0)
    return CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.25))


def divided(tmp_path):
    torch.manual_seed(0)
    return GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=4.0))


def with_bias(tmp_path):
    model = llama(tmp_path)
    old = model.get_output_embeddings()
    new = torch.nn.Linear(old.in_features, old.out_features, bias=True)
    new.weight = old.weight
    model.set_output_embeddings(new)
    return model


def squared(tmp_path):
    """Return a model that does to its logits what nobody has heard of."""
    model = llama(tmp_path)
    inner = type(model).forward

    class Squared(type(model)):
        def forward(self, *args, **kwargs):
            output = inner(self, *args, **kwargs)
            output.logits = output.logits**2
            return output

    model.__class__ = Squared
    return model


MODELS = [llama, capped, scaled, divided, with_bias, squared]


def own_loss(model):
    """The sum that plain torch computes from all logits."""
    logits = model(input_ids=BATCH["input_ids"]).logits[:, :-1]
    labels = BATCH["labels"][:, 1:]
    return torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), labels.reshape(-1), reduction="sum"
    )


def gradients(model):
    found = {name: value.grad.clone() for name, value in model.named_parameters()}
    model.zero_grad()
    return found


@pytest.mark.parametrize("chunk", [1, 2, 100], ids=lambda size: f"chunks of {size}")
@pytest.mark.parametrize("make", MODELS)
def test_chunks_change_neither_loss_nor_gradient(tmp_path, make, chunk):
    model = make(tmp_path).eval()
    whole = own_loss(model)
    (whole * 0.5).backward()
    wanted = gradients(model)
    head = LossHead(model, chunk_logits=chunk * model.config.vocab_size)
    for _ in range(2):  # the first call looks whether the second may be trusted
        part = head.summed(model, BATCH)
        (part * 0.5).backward()
        assert part.item() == pytest.approx(whole.item(), rel=1e-6)
        for name, value in gradients(model).items():
            assert torch.allclose(value, wanted[name], atol=1e-6), name


@pytest.mark.parametrize("make", MODELS)
def test_losses_of_tokens_stand_where_the_tokens_stand(tmp_path, make):
    model = make(tmp_path).eval()
    with torch.inference_mode():
        found = LossHead(model).of_each_token(model, BATCH)
        assert found.sum().item() == pytest.approx(own_loss(model).item(), rel=1e-5)
    assert (found != 0).tolist() == [[False, True, True], [True, False, False]]


@pytest.mark.parametrize("make", MODELS)
def test_a_model_gives_logits_again_afterwards(tmp_path, make):
    model = make(tmp_path).eval()
    before = model(input_ids=BATCH["input_ids"]).logits
    LossHead(model).summed(model, BATCH)
    assert torch.equal(model(input_ids=BATCH["input_ids"]).logits, before)


def test_half_precision_stays_close(tmp_path):
    model = llama(tmp_path)
    head = LossHead(model, chunk_logits=2 * model.config.vocab_size)
    exact = head.summed(model, BATCH)
    exact.backward()
    wanted = gradients(model)
    with torch.autocast("cpu", torch.bfloat16):
        rough = head.summed(model, BATCH)
    rough.backward()
    assert rough.item() == pytest.approx(exact.item(), rel=0.01)
    for name, value in gradients(model).items():
        assert value.dtype == torch.float32
        assert torch.allclose(value, wanted[name], atol=0.05, rtol=0.1), name


class LargestTensor(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the most numbers that one operation returned."""

    most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor):
            self.most = max(self.most, found.numel())
        return found


def test_no_tensor_is_as_large_as_the_logits_of_the_batch(tmp_path):
    model = llama(tmp_path)
    words = model.config.vocab_size
    ids = torch.randint(2, words, (4, 100))
    batch = {"input_ids": ids, "labels": ids.clone()}
    LossHead(model).summed(model, BATCH)
    head = LossHead(model, chunk_logits=8 * words)
    with LargestTensor() as seen:
        head.summed(model, batch).backward()
    weights = max(value.numel() for value in model.parameters())
    assert seen.most <= max(weights, 400 * model.config.intermediate_size)
    assert seen.most < 4 * 99 * words / 4


def test_a_frozen_output_layer_costs_no_gradient(tmp_path):
    model = llama(tmp_path)
    model.requires_grad_(False)
    model.model.layers[0].mlp.down_proj.weight.requires_grad_(True)
    LossHead(model).summed(model, BATCH).backward()
    assert model.get_output_embeddings().weight.grad is None
    assert model.model.layers[0].mlp.down_proj.weight.grad is not None


def test_a_batch_where_nothing_counts_has_no_loss(tmp_path):
    model = llama(tmp_path)
    batch = {**BATCH, "labels": torch.full((2, 4), -100)}
    loss = LossHead(model).summed(model, batch)
    loss.backward()
    assert loss.item() == 0
