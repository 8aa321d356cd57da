"""The original recipe's numbers, as published in 2023, in the example that stands for it."""

from pathlib import Path

import yaml

EXAMPLE = Path(__file__).parents[2] / "examples" / "wizardlm-7b.yaml"


def test_the_example_has_every_number_of_the_original_recipe():
    spec = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["spec"]
    training, compute = spec["training"], spec["compute"]
    assert spec["model"]["huggingFace"]["repo"] == "huggyllama/llama-7b"
    assert spec["datasets"][0]["huggingFace"]["repo"] == "WizardLM/WizardLM_evol_instruct_70k"
    wanted = {
        "epochs": "3",
        "maxLength": 2048,
        "microBatchSize": 8,
        "gradientAccumulationSteps": 4,
        "learningRate": "2e-5",
        "schedule": "cosine",
        "warmupSteps": 2,
        "weightDecay": "0",
        "gradientCheckpointing": True,
        "deepspeed": {"stage": 3},
    }
    assert {name: training[name] for name in wanted} == wanted
    assert (training["checkpoints"]["everySteps"], training["checkpoints"]["keepLatest"]) == (
        800,
        3,
    )
    assert (compute["nodes"], compute["gpusPerNode"]) == (1, 4)
    batch = training["microBatchSize"] * training["gradientAccumulationSteps"]
    assert batch * compute["gpusPerNode"] == 128
    assert spec["workspace"]["size"] == "2Ti"


def test_what_differs_from_the_recipe_is_told():
    text = (EXAMPLE.parents[1] / "docs/explanation/the-original-recipe.md").read_text("utf-8")
    assert all(f"| B{number} |" in text for number in range(1, 9))
