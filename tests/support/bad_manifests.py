"""The table of bad manifests: what is wrong, and what its message has to say."""

from dataclasses import dataclass
from typing import Any

from support.manifests import HF, LAYER, REMOVED


@dataclass(frozen=True)
class Bad:
    """Changes that make a manifest bad, where the problem is, and words that its message has."""

    id: str
    changes: dict[str, Any]
    path: str
    words: tuple[str, ...]
    server_refuses: bool = True
    """False where the API server mends the object or has a rule of its own."""


T = "spec.training."

BAD = [
    # The frame.
    Bad("no apiVersion", {"apiVersion": REMOVED}, "apiVersion", ("missing",), False),
    Bad(
        "another version",
        {"apiVersion": "uncensor.dev/v1"},
        "apiVersion",
        ("uncensor.dev/v1", "wanted", "uncensor.dev/v1alpha1"),
        False,
    ),
    Bad(
        "a misspelt kind",
        {"kind": "UncensorTraning"},
        "kind",
        ('"UncensorTraning"', "did you"),
        False,
    ),
    Bad("no metadata", {"metadata": REMOVED}, "metadata", ("missing", "name"), False),
    Bad("no name", {"metadata.name": REMOVED}, "metadata.name", ("missing", "text"), False),
    Bad("a name with capitals", {"metadata.name": "MyRun"}, "metadata.name", ("MyRun", "lower")),
    Bad("a name that begins with a digit", {"metadata.name": "7b"}, "metadata.name", ("letter",)),
    Bad("a name that ends with a dash", {"metadata.name": "run-"}, "metadata.name", ("run-",)),
    Bad("a long name", {"metadata.name": "a" * 49}, "metadata.name", ("49", "at most 48")),
    Bad("a number as name", {"metadata.name": 7}, "metadata.name", ("number 7", "quotes")),
    Bad(
        "misspelt labels",
        {"metadata.lables": {"a": "b"}},
        "metadata.lables",
        ("no such field", "metadata.labels"),
        False,
    ),
    Bad(
        "a number as label",
        {"metadata.labels": {"a.b/c": 1}},
        "metadata.labels[a.b/c]",
        ("number 1", "quotes"),
        False,
    ),
    Bad("no spec", {"spec": REMOVED}, "spec", ("missing", "model", "datasets")),
    Bad("text as spec", {"spec": "x"}, "spec", ('"x"', "wanted an object")),
    Bad("unknown field above", {"sepc": {}}, "sepc", ("no such field", "spec")),
    # Sources.
    Bad("no model", {"spec.model": REMOVED}, "spec.model", ("missing", "huggingFace")),
    Bad("an empty model", {"spec.model": {}}, "spec.model", ("an empty object", "exactly one")),
    Bad(
        "two sources",
        {"spec.model.huggingFace": HF},
        "spec.model",
        ("path and huggingFace", "exactly one of"),
    ),
    Bad("text as model", {"spec.model": "gpt2"}, "spec.model", ('"gpt2"', "object")),
    Bad("an unknown source", {"spec.model": {"git": {}}}, "spec.model.git", ("known here", "http")),
    Bad(
        "a URL as repository",
        {"spec.model": {"huggingFace": {"repo": "https://hf.co/a/b"}}},
        "spec.model.huggingFace.repo",
        ("https://hf.co/a/b", "owner/name"),
    ),
    Bad(
        "no repository",
        {"spec.model": {"huggingFace": {}}},
        "spec.model.huggingFace.repo",
        ("missing",),
    ),
    Bad(
        "a revision with blanks",
        {"spec.model": {"huggingFace": {**HF, "revision": "my branch"}}},
        "spec.model.huggingFace.revision",
        ("my branch", "branch, tag or commit"),
    ),
    Bad(
        "text as files",
        {"spec.model": {"huggingFace": {**HF, "files": "*.json"}}},
        "spec.model.huggingFace.files",
        ('"*.json"', "a list", "files: [*.json]"),
    ),
    Bad(
        "a file twice",
        {"spec.model": {"huggingFace": {**HF, "files": ["a", "b", "a"]}}},
        "spec.model.huggingFace.files[2]",
        ('"a" a second time',),
    ),
    Bad(
        "too many files",
        {"spec.model": {"huggingFace": {**HF, "files": [f"f{n}" for n in range(65)]}}},
        "spec.model.huggingFace.files",
        ("list of 65", "at most 64"),
    ),
    Bad(
        "a token in plain sight",
        {"spec.model": {"huggingFace": {**HF, "token": "x"}}},
        "spec.model.huggingFace.token",
        ("no such field", "huggingFace.tokenSecretRef?"),
    ),
    Bad(
        "a path outside the package",
        {"spec.model": {"package": {"name": "p", "file": "p/../../etc/passwd"}}},
        "spec.model.package.file",
        ("import package",),
    ),
    Bad("an empty path", {"spec.model": {"path": ""}}, "spec.model.path", ("path of a file",)),
    Bad(
        "ftp",
        {"spec.datasets.0": {"name": "a", "http": {"url": "ftp://x/y"}}},
        "spec.datasets[0].http.url",
        ("ftp://x/y", "https://"),
    ),
    Bad(
        "a short digest",
        {"spec.datasets.0": {"name": "a", "http": {"url": "https://x/y", "sha256": "abc"}}},
        "spec.datasets[0].http.sha256",
        ("abc", "64 hexadecimal"),
    ),
    Bad(
        "a bucket with capitals",
        {"spec.datasets.0": {"name": "a", "s3": {"bucket": "MyBucket"}}},
        "spec.datasets[0].s3.bucket",
        ("MyBucket", "bucket"),
    ),
    # Data sets.
    Bad("no data sets", {"spec.datasets": []}, "spec.datasets", ("an empty list", "at least 1")),
    Bad(
        "an object as data sets",
        {"spec.datasets": {"name": "a", "path": "x"}},
        "spec.datasets",
        ("object with name and path", "a list"),
    ),
    Bad(
        "33 data sets",
        {"spec.datasets": [{"name": f"d{n}", "path": "x"} for n in range(33)]},
        "spec.datasets",
        ("33", "at most 32"),
    ),
    Bad(
        "a data set twice",
        {"spec.datasets": [{"name": "a", "path": "x"}, {"name": "a", "path": "y"}]},
        "spec.datasets[1].name",
        ('"a" a second time', "each name once"),
    ),
    Bad(
        "a nameless data set", {"spec.datasets.0.name": REMOVED}, "spec.datasets[0].name", ("miss",)
    ),
    Bad(
        "an unknown format",
        {"spec.datasets.0.format": "share-gpt"},
        "spec.datasets[0].format",
        ("share-gpt", 'did you mean "sharegpt"'),
    ),
    Bad("no rows", {"spec.datasets.0.maxRows": 0}, "spec.datasets[0].maxRows", ("at least 1",)),
    Bad(
        "bundled data", {"spec.datasets.0.bundled": True}, "spec.datasets[0].bundled", ("no such",)
    ),
    # Filter.
    Bad("an unknown mode", {"spec.filter.mode": "on"}, "spec.filter.mode", ("enforce", "audit")),
    Bad(
        "a boolean mode", {"spec.filter.mode": False}, "spec.filter.mode", ("found false", '"off"')
    ),
    Bad(
        "an unknown class",
        {"spec.filter.actions.refusals": "drop"},
        "spec.filter.actions.refusals",
        ("did you mean spec.filter.actions.refusal?",),
    ),
    Bad(
        "an unknown action",
        {"spec.filter.actions.refusal": "delete"},
        "spec.filter.actions.refusal",
        ('"delete"', '"drop"', '"strip"'),
    ),
    Bad(
        "look-around",
        {"spec.filter.extraRules": [{"name": "a", "class": "refusal", "pattern": "a(?=b)"}]},
        "spec.filter.extraRules[0].pattern",
        ("RE2",),
    ),
    Bad(
        "an empty pattern",
        {"spec.filter.extraRules": [{"name": "a", "class": "refusal", "pattern": ""}]},
        "spec.filter.extraRules[0].pattern",
        ("at least 1",),
    ),
    Bad(
        "the Python name of a field",
        {
            "spec.filter.extraRules": [
                {"name": "a", "class": "refusal", "pattern": "a", "refusal_class": "b"}
            ]
        },
        "spec.filter.extraRules[0].refusal_class",
        ("no such field",),
    ),
    Bad(
        "more than all dropped",
        {"spec.filter.maxDropFraction": "60"},
        "spec.filter.maxDropFraction",
        ('"60"', "0 to 1"),
    ),
    Bad(
        "a number for a fraction",
        {"spec.filter.maxDropFraction": 0.6},
        "spec.filter.maxDropFraction",
        ("number 0.6", "quotes", 'maxDropFraction: "0.6"'),
    ),
    # Training.
    Bad("whole epochs", {T + "epochs": 3}, T + "epochs", ("number 3", 'epochs: "3"')),
    Bad("no epochs", {T + "epochs": "0"}, T + "epochs", ('"0"', "above 0")),
    Bad("negative epochs", {T + "epochs": "-1"}, T + "epochs", ('"-1"', "number in quotes")),
    Bad("epochs in words", {T + "epochs": "three"}, T + "epochs", ("three", "number in quotes")),
    Bad("infinite epochs", {T + "epochs": "1e99"}, T + "epochs", ("1e99", "1000")),
    Bad(
        "a rate that vanishes", {T + "learningRate": "0e-5"}, T + "learningRate", ("above 0 to 1",)
    ),
    Bad("a rate above 1", {T + "learningRate": "2"}, T + "learningRate", ("above 0 to 1",)),
    Bad(
        "a rate without quotes",
        {T + "learningRate": 2e-05},
        T + "learningRate",
        ("2e-05", "in quotes"),
    ),
    Bad("text for a number", {T + "maxLength": "2048"}, T + "maxLength", ("remove the quotes",)),
    Bad("short rows", {T + "maxLength": 8}, T + "maxLength", ("number 8", "at least 16")),
    Bad("half a row", {T + "microBatchSize": 0.5}, T + "microBatchSize", ("0.5", "whole number")),
    Bad("a boolean for a number", {T + "warmupSteps": True}, T + "warmupSteps", ("true", "whole")),
    Bad("a huge seed", {T + "seed": 2**31}, T + "seed", ("2147483648", "at most 2147483647")),
    Bad("a gigantic seed", {T + "seed": 10**30}, T + "seed", ("1000000", "at most")),
    Bad(
        "a batch that does not divide",
        {T + "globalBatchSize": 30},
        T + "globalBatchSize",
        ("number 30", "multiple of microBatchSize"),
    ),
    Bad("an unknown schedule", {T + "schedule": "cosin"}, T + "schedule", ("cosin", "cosine")),
    Bad("text for a boolean", {T + "control": "yes"}, T + "control", ('"yes"', "true or false")),
    Bad("a quoted boolean", {T + "control": "true"}, T + "control", ("remove the quotes",)),
    Bad("a bare packing", {T + "packing": True}, T + "packing", ("found true", '"on"')),
    Bad("snake case", {T + "learning_rate": "1e-5"}, T + "learning_rate", (T + "learningRate?",)),
    Bad("in the wrong place", {"spec.epochs": "3"}, "spec.epochs", ("spec.training.epochs",)),
    Bad(
        "a list of modules",
        {T + "lora": {"targetModules": ["q_proj", "v_proj"]}},
        T + "lora.targetModules",
        ("list of 2", 'targetModules: "q_proj,v_proj"'),
    ),
    Bad("ZeRO 4", {T + "deepspeed.stage": 4}, T + "deepspeed.stage", ("number 4", "at most 3")),
    Bad(
        "weights offloaded that are not sharded",
        {T + "deepspeed": {"stage": 2, "offload": "all"}},
        T + "deepspeed.stage",
        ("number 2", "stage 3"),
    ),
    Bad(
        "an optimizer offloaded that is not sharded",
        {T + "deepspeed": {"stage": 0, "offload": "optimizer"}},
        T + "deepspeed.stage",
        ("stage 0",),
    ),
    Bad(
        "no checkpoint kept",
        {T + "checkpoints.keepLatest": 0},
        T + "checkpoints.keepLatest",
        ("at least 1",),
    ),
    Bad(
        "most rows held out",
        {T + "validationFraction": "0.6"},
        T + "validationFraction",
        ("0 to 0.5",),
    ),
    # Alignment.
    Bad(
        "nine layers",
        {"spec.alignment": [{**LAYER, "name": f"l{n}"} for n in range(9)]},
        "spec.alignment",
        ("9", "at most 8"),
    ),
    Bad(
        "a layer without data",
        {"spec.alignment": [{"name": "calm"}]},
        "spec.alignment[0].dataset",
        ("missing",),
    ),
    Bad(
        "an unknown method",
        {"spec.alignment": [{**LAYER, "method": "ppo"}]},
        "spec.alignment[0].method",
        ("ppo", '"dpo"'),
    ),
    Bad(
        "a beta of 0",
        {"spec.alignment": [{**LAYER, "beta": "0"}]},
        "spec.alignment[0].beta",
        ("above 0",),
    ),
    # Names in the wrong place.
    Bad("a name below spec", {"spec.name": "x"}, "spec.name", ("did you mean metadata.name?",)),
    Bad("a beginning", {"spec.compute.gpus": 1}, "spec.compute.gpus", ("gpusPerNode?",)),
    Bad(
        "small letters", {"spec.learningrate": "1"}, "spec.learningrate", ("training.learningRate",)
    ),
    Bad(
        "a number as benchmark",
        {"spec.evaluation.benchmarks": [1]},
        "spec.evaluation.benchmarks[0]",
        ('as in - "1"',),
    ),
    Bad("a list as training", {"spec.training": []}, "spec.training", ("empty list", "or others")),
    # Compute and workspace.
    Bad("no nodes", {"spec.compute.nodes": 0}, "spec.compute.nodes", ("at least 1",)),
    Bad(
        "GPUs of a training stage",
        {"spec.compute.stages": {"train": {"gpus": 1}}},
        "spec.compute.stages.train.gpus",
        ("no such field",),
    ),
    Bad(
        "an unknown stage",
        {"spec.compute.stages": {"evaluation": {"gpus": 1}}},
        "spec.compute.stages.evaluation",
        ("spec.compute.stages.evaluate?",),
    ),
    Bad(
        "memory as a number",
        {"spec.compute.stages": {"filter": {"memory": 64}}},
        "spec.compute.stages.filter.memory",
        ("number 64", "quotes"),
    ),
    Bad(
        "memory in words",
        {"spec.compute.stages": {"filter": {"memory": "64 GB"}}},
        "spec.compute.stages.filter.memory",
        ("64 GB", "64Gi"),
    ),
    Bad(
        "a size with a fraction", {"spec.workspace.size": "1.5Ti"}, "spec.workspace.size", ("2Ti",)
    ),
    Bad(
        "several nodes on one volume",
        {"spec.compute.nodes": 2, "spec.workspace.accessMode": "ReadWriteOnce"},
        "spec.workspace.accessMode",
        ('"ReadWriteOnce"', "ReadWriteMany"),
    ),
    Bad(
        "a short form",
        {"spec.workspace.accessMode": "RWX"},
        "spec.workspace.accessMode",
        ("RWX", "ReadWriteMany"),
    ),
    # Probe, evaluation, publishing.
    Bad(
        "bundled as a word",
        {"spec.probe.input": "bundled"},
        "spec.probe.input",
        ('"bundled"', "input: {bundled: true}"),
    ),
    Bad(
        "not bundled",
        {"spec.probe.input": {"bundled": False}},
        "spec.probe.input.bundled",
        ("found false", "wanted true", "leave this field out"),
    ),
    Bad(
        "bundled and a path",
        {"spec.evaluation.refusal.prompts": {"bundled": True, "path": "x"}},
        "spec.evaluation.refusal.prompts",
        ("bundled and path", "exactly one"),
    ),
    Bad(
        "a rate in percent",
        {"spec.evaluation.gates.maxRefusalRate": "5"},
        "spec.evaluation.gates.maxRefusalRate",
        ("0 to 1",),
    ),
    Bad(
        "a benchmark twice",
        {"spec.evaluation.benchmarks": ["mmlu", "mmlu"]},
        "spec.evaluation.benchmarks[1]",
        ('"mmlu" a second time', "each entry once"),
    ),
    Bad(
        "publishing nowhere",
        {"spec.publish": {}},
        "spec.publish",
        ("an empty object", "at least one of", "leave the whole field out"),
    ),
    Bad(
        "publishing without a token",
        {"spec.publish": {"huggingFace": HF}},
        "spec.publish.huggingFace.tokenSecretRef",
        ("missing", "name"),
    ),
    Bad(
        "an image without a path",
        {"spec.publish": {"oci": {"reference": "llama", "credentialsSecretRef": {"name": "a"}}}},
        "spec.publish.oci.reference",
        ("registry.example.com",),
    ),
    Bad("reporting nowhere", {"spec.reporting": {}}, "spec.reporting", ("at least one of",)),
    # Run policy and status.
    Bad("suspended by word", {"spec.suspend": "on"}, "spec.suspend", ("true or false",)),
    Bad(
        "a duration with a unit",
        {"spec.runPolicy.startDeadlineSeconds": "30m"},
        "spec.runPolicy.startDeadlineSeconds",
        ('"30m"', "whole number"),
    ),
    Bad(
        "a short grace period",
        {"spec.runPolicy.terminationGracePeriodSeconds": 5},
        "spec.runPolicy.terminationGracePeriodSeconds",
        ("at least 30",),
    ),
    Bad(
        "a condition twice",
        {
            "status.conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "Completed",
                    "lastTransitionTime": "2025-11-24T12:00:00Z",
                }
            ]
            * 2
        },
        "status.conditions[1].type",
        ('"Ready" a second time',),
    ),
    Bad(
        "an unknown state",
        {"status.stages": [{"name": "train", "state": "Done"}]},
        "status.stages[0].state",
        ('"Done"', "Succeeded"),
    ),
]
