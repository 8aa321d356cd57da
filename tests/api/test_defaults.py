"""The defaults are those of the design."""

import json

import pytest
import yaml

from support.manifests import a_manifest, written
from uncensor_operator.api.reading import read

DESIGN = """
filter:
  mode: enforce
  actions: {refusal: drop, partial: keep, moralise: drop, capability: keep, disclaimer: strip,
            placeholder: drop, identity: keep}
  extraRules: []
  maxDropFraction: "0.6"
training:
  method: full
  lora: {rank: 16, alpha: 32, targetModules: all-linear}
  template: auto
  epochs: "3"
  maxLength: 2048
  microBatchSize: 8
  gradientAccumulationSteps: 4
  learningRate: "2e-5"
  schedule: cosine
  warmupSteps: 2
  weightDecay: "0"
  maxGradNorm: "1.0"
  precision: bf16
  gradientCheckpointing: true
  packing: auto
  torchCompile: false
  ligerKernels: false
  seed: 42
  deepspeed: {stage: 3, offload: none}
  checkpoints: {everySteps: 800, everyMinutes: 30, keepLatest: 3}
  validationFraction: "0"
  control: false
alignment: []
compute: {nodes: 1, gpusPerNode: 4, stages: {}}
workspace: {size: 2Ti, accessMode: ReadWriteMany, retain: true}
probe: {input: {bundled: true}, maxNewTokens: 2048}
evaluation:
  refusal: {prompts: {bundled: true}, maxNewTokens: 64, batchSize: 16}
  perplexity: {answers: {bundled: true}}
  benchmarks: []
  gates: {}
suspend: false
runPolicy: {backoffLimit: 3, maxInfrastructureRestarts: 50, noProgressLimit: 3,
            startDeadlineSeconds: 1800, stallTimeoutSeconds: 1800,
            terminationGracePeriodSeconds: 300}
"""


@pytest.fixture
def dumped(tmp_path):
    manifest = a_manifest({"spec.model": {"huggingFace": {"repo": "a/b"}}})
    (document,) = read([written(tmp_path, manifest)])
    return json.loads(document.training.model_dump_json(exclude_none=True))


def test_defaults_are_those_of_the_design(dumped):
    spec = dumped["spec"]
    del spec["model"], spec["datasets"]
    assert spec == yaml.safe_load(DESIGN)


def test_sources_take_the_main_branch_and_look_at_the_rows(dumped, tmp_path):
    assert dumped["spec"]["model"] == {
        "huggingFace": {"repo": "a/b", "revision": "main", "files": []}
    }
    (document,) = read([written(tmp_path, a_manifest())])
    assert document.training.spec.datasets[0].format == "auto"
    assert document.training.spec.datasets[0].max_rows is None


def test_nobody_has_seen_a_new_run(dumped):
    assert dumped["status"]["observedGeneration"] == -1
