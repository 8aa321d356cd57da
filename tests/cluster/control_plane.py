"""The control plane: which programs with which flags, as real clusters run them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cluster.credentials import Identity, account_identity
from cluster.programs import Programs

BRIDGE = "10.88.0.1"
API_PORT = 6443
ETCD = "http://127.0.0.1:2379"
SERVER = f"https://{BRIDGE}:{API_PORT}"
SERVICES = "10.96.0.0/16"
CLUSTER_DNS = "10.96.0.10"

CONTROLLER_MANAGER = Identity("controller-manager", "system:kube-controller-manager")
SCHEDULER = Identity("scheduler", "system:kube-scheduler")
PROXY = Identity("proxy", "system:kube-proxy")
DNS = account_identity("kube-system", "coredns")
TRAINING_OPERATOR = account_identity("kubeflow", "training-operator")
PROGRAM_IDENTITIES = (CONTROLLER_MANAGER, SCHEDULER, PROXY, DNS, TRAINING_OPERATOR)

Flags = Mapping[str, object]


def argv(program: str, flags: Flags) -> list[str]:
    """The command line of a program; True and False as Go's flags want them."""
    words = {name: str(v).lower() if isinstance(v, bool) else v for name, v in flags.items()}
    return [program, *(f"--{name}={value}" for name, value in words.items())]


def etcd(programs: Programs, data: Path) -> list[str]:
    flags = {
        "data-dir": data,
        "listen-client-urls": ETCD,
        "advertise-client-urls": ETCD,
        "listen-peer-urls": "http://127.0.0.1:2380",
        "unsafe-no-fsync": True,  # a test's data need not survive a power cut
        "quota-backend-bytes": 4 << 30,
    }
    return argv(programs.path("etcd"), flags)


def api_server(programs: Programs, secrets: Path) -> list[str]:
    flags = {
        "etcd-servers": ETCD,
        "advertise-address": BRIDGE,
        "secure-port": API_PORT,
        "tls-cert-file": secrets / "serving.crt",
        "tls-private-key-file": secrets / "serving.key",
        "token-auth-file": secrets / "tokens.csv",
        "anonymous-auth": False,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": secrets / "sa.pub",
        "service-account-signing-key-file": secrets / "sa.key",
        "service-cluster-ip-range": SERVICES,
        "allow-privileged": True,
        "kubelet-preferred-address-types": "InternalIP",
        # Webhooks are called at their endpoints: that works without kube-proxy, too.
        "enable-aggregator-routing": True,
        # etcd 3.4 cannot say how far a watch has come; clients of Kubernetes 1.36 would retry the
        # lists that need it for ever. Without the features they list as they always did.
        "feature-gates": "WatchList=false,SizeBasedListCostEstimate=false",
        "cert-dir": "/run/kube-apiserver",
        "profiling": False,
    }
    return argv(programs.path("kube-apiserver"), flags)


def controller_manager(programs: Programs, secrets: Path) -> list[str]:
    flags = {
        "kubeconfig": secrets / f"{CONTROLLER_MANAGER.name}.kubeconfig",
        "use-service-account-credentials": True,
        "root-ca-file": secrets / "ca.crt",
        "service-account-private-key-file": secrets / "sa.key",
        "leader-elect": False,
        # The default of 50 s makes every test of a lost node a minute longer.
        "node-monitor-grace-period": "20s",
        "cert-dir": "/run/kube-controller-manager",
    }
    return argv(programs.path("kube-controller-manager"), flags)


def scheduler(programs: Programs, secrets: Path) -> list[str]:
    flags = {
        "kubeconfig": secrets / f"{SCHEDULER.name}.kubeconfig",
        "leader-elect": False,
        "cert-dir": "/run/kube-scheduler",
    }
    return argv(programs.path("kube-scheduler"), flags)


def kwok(programs: Programs, secrets: Path, stages: Path) -> list[str]:
    """Plays the kubelet of nodes with the annotation `kwok.x-k8s.io/node: fake`."""
    flags = {
        "kubeconfig": secrets / "inside.kubeconfig",
        "config": stages,
        "manage-all-nodes": False,
        "manage-nodes-with-annotation-selector": "kwok.x-k8s.io/node=fake",
        "node-ip": BRIDGE,
        "node-lease-duration-seconds": 40,
    }
    return argv(programs.path("kwok"), flags)


def kwok_stages(folder: Path) -> str:
    """kwok's own rules of how fake nodes and pods live, as one configuration file."""
    wanted = ("node/fast", "node/heartbeat-with-lease", "pod/fast")
    files = [file for name in wanted for file in sorted((folder / name).glob("*-*.yaml"))]
    return "\n---\n".join(file.read_text() for file in files)
