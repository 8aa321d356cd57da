"""Keys, certificates and tokens of one cluster; new at every `up` and worth nothing elsewhere."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from cluster.programs import run

IPS = ",IP:127.0.0.1,IP:10.96.0.1,IP:10.88.0.1,DNS:localhost"
CURVE = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
ALGORITHM = ("EC", *CURVE[1:])


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


def signed(folder: Path, name: str, host: str, *, authority: str, more: str = "") -> None:
    """Make ca.crt and ca.key, and with them `name`.crt and `name`.key for the DNS name `host`."""
    folder.mkdir(parents=True, exist_ok=True)
    ca, ca_key = folder / "ca.crt", folder / "ca.key"
    # The training-operator reads such a key alone, and looks for the authority among DNS names.
    run(["openssl", "genrsa", "-traditional", "-out", ca_key, "2048"])
    extensions = [
        "keyUsage=critical,keyCertSign,digitalSignature",
        f"subjectAltName=DNS:{authority}",
    ]
    certificate(f"/O={authority}/CN={authority}", extensions, ca, ("-key", ca_key))
    extensions = [
        f"subjectAltName=DNS:{host}{more}",
        "basicConstraints=critical,CA:FALSE",
        "extendedKeyUsage=serverAuth",
    ]
    new_key = ("-newkey", *CURVE, "-nodes", "-keyout", folder / f"{name}.key")
    by = ("-CA", ca, "-CAkey", ca_key)
    certificate(f"/CN={host}", extensions, folder / f"{name}.crt", (*new_key, *by))


def certificate(
    subject: str, extensions: list[str], target: Path, keys: tuple[str | Path, ...]
) -> None:
    """Make a certificate with the keys that `keys` names in openssl's words."""
    added = [word for extension in extensions for word in ("-addext", extension)]
    new = ("req", "-x509", "-days", "3650", "-subj", subject)
    run(["openssl", *new, *keys, *added, "-out", target])


def certificates(folder: Path) -> None:
    """Make ca.crt, serving.crt, serving.key and sa.key, sa.pub (to sign service accounts)."""
    signed(folder, "serving", "kubernetes.default.svc", authority="uncensor-test-ca", more=IPS)
    run(["openssl", "genpkey", "-algorithm", *ALGORITHM, "-out", folder / "sa.key"])
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
