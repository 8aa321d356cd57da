"""What the box's own network has: a bridge, Services by kube-proxy, names by CoreDNS."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from cluster.api import Api
from cluster.control_plane import BRIDGE, CLUSTER_DNS, DNS, PROXY, argv
from cluster.programs import Programs

SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices/{}"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def setup(programs: Programs, addresses: list[str]) -> str:
    """The script that gives a new network namespace its bridge; the host's stays as it is."""
    ip = shlex.quote(programs.path("busybox")) + " ip"
    rows = [
        f"{ip} link set lo up",
        f"{ip} link add cni0 type bridge",
        f"{ip} addr add {BRIDGE}/16 dev cni0",
        *(f"{ip} addr add {address}/32 dev cni0" for address in addresses if address != BRIDGE),
        f"{ip} link set cni0 up",
        f"{ip} route add default via {BRIDGE}",  # ClusterIPs need a route to be translated on
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
    ]
    return "\n".join(rows)


def proxy(programs: Programs, secrets: Path, node: str) -> list[str]:
    """kube-proxy: one for all nodes, which share the box's network."""
    config = secrets / "proxy.json"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "clientConnection": {"kubeconfig": str(secrets / f"{PROXY.name}.kubeconfig")},
                "bindAddress": BRIDGE,
                "hostnameOverride": node,
                "mode": "iptables",
                # Pods of a Service answer pods on the same bridge directly, past the translation.
                "iptables": {"masqueradeAll": True},
                # These belong to the host's kernel, not to a network namespace.
                "conntrack": {
                    "maxPerCore": 0,
                    "min": 0,
                    "tcpEstablishedTimeout": "0s",
                    "tcpCloseWaitTimeout": "0s",
                },
            }
        )
    )
    return argv(programs.path("kube-proxy"), {"config": config})


def dns(programs: Programs, secrets: Path) -> list[str]:
    """CoreDNS on the bridge; it knows the names of the cluster and no others."""
    corefile = secrets / "Corefile"
    corefile.write_text(
        f"""
        .:53 {{
            bind {BRIDGE}
            errors
            kubernetes cluster.local in-addr.arpa {{
                kubeconfig {secrets / f"{DNS.name}.kubeconfig"}
                ttl 0
            }}
        }}
        """
    )
    return [programs.path("coredns"), "-conf", str(corefile)]


def publish_dns(api: Api) -> None:
    """Give CoreDNS its rights and the address that kubelets write into pods."""
    verbs = {"verbs": ["list", "watch"]}
    api.apply(
        f"{RBAC}/clusterroles/uncensor:coredns",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "uncensor:coredns"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"]} | verbs,
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]} | verbs,
            ],
        },
    )
    api.apply(
        f"{RBAC}/clusterrolebindings/uncensor:coredns",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "uncensor:coredns"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "uncensor:coredns",
            },
            "subjects": [{"kind": "ServiceAccount", "namespace": "kube-system", "name": DNS.name}],
        },
    )
    ports = [("dns", "UDP", 53, 53), ("dns-tcp", "TCP", 53, 53)]
    publish(api, "kube-system", "kube-dns", ports, address=CLUSTER_DNS)


def publish(
    api: Api,
    namespace: str,
    name: str,
    ports: list[tuple[str, str, int, int]],
    address: str | None = None,
) -> None:
    """Make a Service for a program in the box; `ports`: name, protocol, port, target port."""
    rows = [
        {"name": port, "protocol": protocol, "port": number, "targetPort": target}
        for port, protocol, number, target in ports
    ]
    api.apply(
        f"/api/v1/namespaces/{namespace}/services/{name}",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": rows} | ({"clusterIP": address} if address else {}),
        },
    )
    api.apply(
        SLICES.format(namespace, name),
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [BRIDGE], "conditions": {"ready": True}}],
            "ports": [
                {"name": port, "protocol": protocol, "port": target}
                for port, protocol, _, target in ports
            ],
        },
    )
