import pytest
from transformers.utils import is_flash_attn_2_available

from support.tiny import run_file
from uncensor_trainer.attention import choose_attention


def settings(tmp_path, **training):
    return run_file(tmp_path, tmp_path, training=training).training


@pytest.mark.parametrize(
    ("packing", "packed"), [("auto", False), ("on", True), ("off", False)], ids=str
)
def test_without_a_gpu_rows_are_packed_only_when_told(tmp_path, packing, packed):
    choice = choose_attention(settings(tmp_path, packing=packing), gpu=False)
    assert (choice.packed, choice.kernel) == (packed, None)
    assert ("one sequence" in choice.sentence) == packed


def test_packing_on_a_gpu_takes_a_kernel_that_skips_what_lies_between_rows(tmp_path):
    choice = choose_attention(settings(tmp_path, packing="on", precision="bf16"), gpu=True)
    wanted = "flash_attention_2" if is_flash_attn_2_available() else "flex_attention"
    assert (choice.packed, choice.kernel) == (True, wanted)


def test_flash_attention_is_not_asked_to_compute_in_float32(tmp_path):
    choice = choose_attention(settings(tmp_path, packing="auto", precision="fp32"), gpu=True)
    assert (choice.packed, choice.kernel) == (False, None)
