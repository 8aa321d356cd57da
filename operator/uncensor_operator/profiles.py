"""Built-in pool profiles: how the A100 nodes of the large clouds look to Kubernetes.

Cores, memory and GPUs are those of the providers' published machine types, less a share for the
system; labels are those that the provider, or NVIDIA's GPU feature discovery, puts on the node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GPU = "nvidia.com/gpu"
_TAINT = {"key": _GPU, "operator": "Exists", "effect": "NoSchedule"}
# AKS: the taint that its documentation gives to GPU pools.
_AKS_TAINT = {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}
_INSTANCE = "node.kubernetes.io/instance-type"
_GKE = "cloud.google.com/gke-accelerator"
_PRODUCT = "nvidia.com/gpu.product"


def _a100(
    gpus: int, gpu_memory: str, cpus: int, memory: str, labels: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    return {
        "resource": _GPU,
        "gpus": gpus,
        "gpuMemory": gpu_memory,
        "cpus": cpus,
        "memory": memory,
        "nodeLabels": labels,
        "tolerations": [_TAINT],
    }


PROFILES: Mapping[str, Mapping[str, Any]] = {
    # 4x A100 80 GB PCIe, 96 cores, 880 GiB: the machine of the original recipe.
    "aks-a100-80gb": {
        **_a100(4, "80Gi", 88, "800Gi", {_INSTANCE: ("Standard_NC96ads_A100_v4",)}),
        "tolerations": [_TAINT, _AKS_TAINT],
    },
    # 8x A100 40 GB SXM, 96 cores, 900 GiB.
    "aks-a100-40gb": {
        **_a100(8, "40Gi", 88, "820Gi", {_INSTANCE: ("Standard_ND96asr_v4",)}),
        "tolerations": [_TAINT, _AKS_TAINT],
    },
    # a2-ultragpu-8g: 8x 80 GB, 96 cores, 1,360 GB; GKE taints GPU nodes itself.
    "gke-a100-80gb": _a100(8, "80Gi", 88, "1200Gi", {_GKE: ("nvidia-a100-80gb",)}),
    # a2-highgpu-8g: 8x 40 GB, 96 cores, 680 GB.
    "gke-a100-40gb": _a100(8, "40Gi", 88, "580Gi", {_GKE: ("nvidia-tesla-a100",)}),
    # p4de.24xlarge: 8x 80 GB, 96 cores, 1,152 GiB.
    "eks-a100-80gb": _a100(8, "80Gi", 88, "1050Gi", {_INSTANCE: ("p4de.24xlarge",)}),
    # p4d.24xlarge: 8x 40 GB, 96 cores, 1,152 GiB.
    "eks-a100-40gb": _a100(8, "40Gi", 88, "1050Gi", {_INSTANCE: ("p4d.24xlarge",)}),
    # Any cluster with NVIDIA's GPU feature discovery.
    "nvidia-a100-80gb": _a100(
        8, "80Gi", 88, "800Gi", {_PRODUCT: ("NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-80GB-PCIe")}
    ),
    "nvidia-a100-40gb": _a100(
        8, "40Gi", 88, "400Gi", {_PRODUCT: ("NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-PCIE-40GB")}
    ),
    # Any node; small models, demonstrations, tests.
    "cpu": {"gpus": 0, "cpus": 2, "memory": "8Gi", "sharedMemory": "1Gi"},
}
