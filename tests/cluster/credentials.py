"""Keys, certificates and tokens of one cluster; made anew by every `up`, worth nothing elsewhere."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from cluster.programs import run

NAMES = "IP:127.0.0.1,IP:10.96.0.1,IP:10.88.0.1,DNS:localhost,DNS:kubernetes.default.svc"
CURVE = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of the API server; `name` also names its kubeconfig."""

    name: str
    user: str
    groups: tuple[str, ...] = ()


ADMIN = Identity("admin", "admin", ("system:masters",))


def node_identity(node: str) -> Identity:
    return Identity(node, f"system:node:{node}", ("system:nodes",))


def account_identity(namespace: str, account: str) -> Identity:
    """A program outside the cluster with the rights of a service account."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return Identity(account, f"system:serviceaccount:{namespace}:{account}", groups)


def certificates(folder: Path) -> None:
    """Make ca.crt, serving.crt, serving.key and sa.key, sa.pub (to sign service accounts)."""
    ca = ["-CA", folder / "ca.crt", "-CAkey", folder / "ca.key"]
    common = ["openssl", "req", "-x509", "-nodes", "-days", "30", "-newkey", *CURVE]
    run(
        [*common, "-subj", "/CN=uncensor-test-ca"]
        + ["-addext", "keyUsage=critical,keyCertSign,digitalSignature"]
        + ["-keyout", folder / "ca.key", "-out", folder / "ca.crt"]
    )
    run(
        [*common, *ca, "-subj", "/CN=kube-apiserver", "-addext", f"subjectAltName={NAMES}"]
        + ["-addext", "basicConstraints=critical,CA:FALSE"]
        + ["-keyout", folder / "serving.key", "-out", folder / "serving.crt"]
    )
    run(["openssl", "genpkey", "-algorithm", *CURVE, "-out", folder / "sa.key"])
    run(["openssl", "pkey", "-in", folder / "sa.key", "-pubout", "-out", folder / "sa.pub"])


def tokens(folder: Path, identities: tuple[Identity, ...]) -> dict[str, str]:
    """Write the server's token file; the token of each identity by its name."""
    made = {identity.name: secrets.token_hex(16) for identity in identities}
    rows = [
        f'{made[who.name]},{who.user},{who.name},"{",".join(who.groups)}"' for who in identities
    ]
    (folder / "tokens.csv").write_text("\n".join(rows) + "\n")
    return made


def kubeconfig(path: Path, *, server: str, authority: Path, token: str) -> None:
    """Write a kubeconfig (JSON is YAML) that only its owner can read."""
    path.touch(mode=0o600)
    named = {"name": "uncensor-test"}
    context = {"cluster": "uncensor-test", "user": "uncensor-test", "namespace": "default"}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "uncensor-test",
                "clusters": [
                    named | {"cluster": {"server": server, **embedded(authority)}},
                ],
                "users": [named | {"user": {"token": token}}],
                "contexts": [named | {"context": context}],
            },
            indent=1,
        )
    )


def embedded(authority: Path) -> dict[str, str]:
    return {"certificate-authority-data": base64.b64encode(authority.read_bytes()).decode()}
