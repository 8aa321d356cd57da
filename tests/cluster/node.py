"""A node: a box with containerd and kubelet, and what both read."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from cluster.boxes import box_argv
from cluster.control_plane import BRIDGE, CLUSTER_DNS, argv
from cluster.images import PAUSE
from cluster.places import Place
from cluster.programs import Programs


@dataclass(frozen=True, slots=True)
class Node:
    """The `index`-th node (from 1) of the cluster at `place`."""

    place: Place
    index: int

    @property
    def name(self) -> str:
        return f"node-{'abcdefgh'[self.index - 1]}"

    @property
    def folder(self) -> Path:
        return self.place.node(self.name)

    @property
    def address(self) -> str:
        """All nodes are on one bridge; each has its own address there."""
        return BRIDGE.rsplit(".", 1)[0] + f".{self.index}"

    @property
    def cgroup(self) -> str:
        return f"{self.place.cgroup}-{self.name}"

    @property
    def containerd_root(self) -> Path:
        return self.folder / "lib" / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """As the outer world sees it."""
        return self.folder / "run" / "containerd" / "containerd.sock"

    def forget_run(self) -> None:
        """Empty /run, as a power cut does: the sockets of dead programs look like live ones."""
        (self.folder / "box.sock").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "run")
        (self.folder / "run").mkdir()

    def argv(self) -> list[str]:
        """The command of the node's box, to run within the cluster's."""
        return box_argv(self.folder, network=False, setup="mkdir -p /var/log/pods")

    def containerd(self, programs: Programs) -> list[str]:
        cni = self.folder / "cni"
        cni.mkdir(exist_ok=True)
        (cni / "10-bridge.conflist").write_text(json.dumps(self.cni()))
        config = self.folder / "containerd.toml"
        config.write_text(containerd_config(programs, cni))
        return [programs.path("containerd"), "--config", str(config)]

    def cni(self) -> dict[str, object]:
        """A bridge for all nodes, an address range for each."""
        network = BRIDGE.rsplit(".", 2)[0]
        addresses = {
            "subnet": f"{network}.0.0/16",
            "rangeStart": f"{network}.{self.index}.10",
            "rangeEnd": f"{network}.{self.index}.250",
            "gateway": BRIDGE,
        }
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[addresses]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": "/var/lib/cni/networks",
            },
        }
        portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, portmap]}

    def kubelet(self, programs: Programs) -> list[str]:
        config = self.folder / "kubelet.json"
        config.write_text(json.dumps(self.kubelet_config(), indent=1))
        flags = {
            "config": config,
            "kubeconfig": self.place.secrets / f"{self.name}.kubeconfig",
            "hostname-override": self.name,
            "node-ip": self.address,
            "root-dir": "/var/lib/kubelet",
            "cert-dir": "/var/lib/kubelet/pki",
        }
        return argv(programs.path("kubelet"), flags)

    def kubelet_config(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "healthzPort": 0,  # two nodes cannot share it
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            "clusterDNS": [CLUSTER_DNS],
            "clusterDomain": "cluster.local",
            "resolvConf": "",
            # The disk is the developer's: a full one is no reason to evict the tests' pods.
            "evictionHard": {
                "memory.available": "50Mi",
                "nodefs.available": "1%",
                "imagefs.available": "1%",
                "nodefs.inodesFree": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            # Renewed every 3 s, so that a lost node shows within the grace period of 20 s.
            "nodeLeaseDurationSeconds": 12,
            "nodeStatusUpdateFrequency": "5s",
        }


def containerd_config(programs: Programs, cni: Path) -> str:
    return f"""
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "/run/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# Where the harness lacks CAP_SYS_RESOURCE, runc dies when it lowers an OOM score.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{programs.debian}/usr/lib/cni"
conf_dir = "{cni}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "{programs.path("runc")}"
SystemdCgroup = false
"""
