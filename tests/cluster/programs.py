"""The programs of a cluster: Kubernetes from Go modules, the rest from the host's own distribution.

Nothing is installed on the host. Go programs go to the cache under a key of what they are built
from; Debian packages are fetched by apt (which checks their signatures) and unpacked there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from cluster.places import HERE, cache, locked

KUBERNETES = (
    "kubectl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)
# The name of a program, and the package and version that `go install` builds it from.
INSTALLED = {
    "training-operator": "github.com/kubeflow/training-operator/cmd/training-operator.v1@v1.9.4",
    "coredns": "github.com/coredns/coredns@v1.15.0",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok@v0.8.0",
    "helm": "helm.sh/helm/v4/cmd/helm@v4.1.4",
}
# iptables and conntrack with the libraries that a minimal system lacks; runc needs libseccomp2.
PACKAGES = (
    "etcd-server",
    "containerd",
    "runc",
    "libseccomp2",
    "containernetworking-plugins",
    "busybox-static",
    "iptables",
    "libxtables12",
    "libip4tc2",
    "libip6tc2",
    "libnftnl11",
    "conntrack",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libmnl0",
)
STRIP = "-s -w"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Programs:
    """Where each program is, and what it needs in its environment."""

    go: Mapping[str, Path]
    debian: Path
    training_operator_manifests: Path
    kwok_stages: Path

    def path(self, name: str) -> str:
        """The program `name`; envtest's `$KUBEBUILDER_ASSETS` goes first for what it holds."""
        given = Path(os.environ.get("KUBEBUILDER_ASSETS") or "/nonexistent") / name
        if name in {"etcd", "kube-apiserver"} and given.is_file():
            return str(given)
        if name in self.go:
            return str(self.go[name])
        for folder in ("usr/bin", "usr/sbin", "bin", "usr/lib/cni"):
            if (self.debian / folder / name).is_file():
                return str(self.debian / folder / name)
        raise ClusterError(f"No package of {', '.join(PACKAGES)} holds the program {name}.")

    def environment(self) -> dict[str, str]:
        """The whole environment of a program in the box."""
        libraries = next((self.debian / "usr/lib").glob("*-linux-gnu*"))
        folders = [f"{self.debian}/{folder}" for folder in ("usr/sbin", "usr/bin", "bin")]
        return {
            "PATH": ":".join([*folders, "/usr/sbin", "/usr/bin", "/sbin", "/bin"]),
            "LD_LIBRARY_PATH": f"{libraries}:{self.debian}/lib/{libraries.name}",
            "XTABLES_LIBDIR": f"{libraries}/xtables",
            "HOME": "/root",
            "TMPDIR": "/run",
        }


@dataclass(frozen=True, slots=True)
class Part:
    """Something in the cache: where it is, how it is made, and what people read meanwhile."""

    path: Path
    make: Callable[[Path], None]
    story: str


def prepare(say: Say) -> Programs:
    """Build and fetch what the cache lacks (many minutes at first), and say where everything is."""
    made = parts()
    with locked(cache() / "programs.lock"):
        for part in made.values():
            if not part.path.exists():
                say(part.story)
                cached(part.path, part.make)
    return Programs(
        go={name: made[name].path for name in (*KUBERNETES, *INSTALLED, "pause")},
        debian=made["debian"].path,
        training_operator_manifests=made["training-operator manifests"].path,
        kwok_stages=made["kwok stages"].path,
    )


def missing() -> list[str]:
    """What `prepare` would have to make."""
    return [name for name, part in parts().items() if not part.path.exists()]


def parts() -> dict[str, Part]:
    """Everything that a cluster is made of, by name."""
    built = {name: kubernetes_program(name) for name in KUBERNETES}
    built |= {name: installed_program(name, package) for name, package in INSTALLED.items()}
    return built | {
        "pause": own_program("pause"),
        "debian": unpacked_packages(PACKAGES, use_nftables),
        "training-operator manifests": module_folder(
            "github.com/kubeflow/training-operator@v1.9.4", "manifests/base"
        ),
        "kwok stages": module_folder("sigs.k8s.io/kwok@v0.8.0", "kustomize/stage"),
    }


def digest(*parts: str | bytes) -> str:
    """A short name for the contents `parts`."""
    whole = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        whole.update(len(raw).to_bytes(8, "big") + raw)
    return whole.hexdigest()[:16]


def cached(path: Path, make: Callable[[Path], None]) -> Path:
    """`path`, made by `make` if it is not there; it appears whole or not at all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="partial-") as scratch:
            make(Path(scratch) / path.name)
            (Path(scratch) / path.name).rename(path)
    return path


def kubernetes_version() -> str:
    """The version in go.mod, such as v1.34.4."""
    found = re.search(r"k8s\.io/kubernetes (v\S+)", (HERE / "go.mod").read_text())
    if found is None:
        raise ClusterError(f"{HERE / 'go.mod'} does not require k8s.io/kubernetes.")
    return found[1]


def kubernetes_program(name: str) -> Part:
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    # Without these, /version is wrong and Helm's checks of kubeVersion fail.
    about = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamps = " ".join(f"-X k8s.io/component-base/version.{k}={v}" for k, v in about.items())
    flags = f"{STRIP} {stamps}"
    key = digest((HERE / "go.mod").read_bytes(), (HERE / "go.sum").read_bytes(), flags)

    def build(target: Path) -> None:
        go("build", "-trimpath", "-ldflags", flags, "-o", target, f"k8s.io/kubernetes/cmd/{name}")

    path = cache() / "programs" / f"kubernetes-{key}" / name
    return Part(path, build, f"building {name} {version} (minutes, once)")


def own_program(name: str) -> Part:
    source = (HERE / name / "main.go").read_bytes()

    def build(target: Path) -> None:
        go("build", "-trimpath", "-ldflags", STRIP, "-o", target, f"./{name}")

    path = cache() / "programs" / f"{name}-{digest(source, STRIP)}" / name
    return Part(path, build, f"building {name}")


def installed_program(name: str, package: str) -> Part:
    def build(target: Path) -> None:
        folder = target.parent / "bin"
        go("install", "-trimpath", "-ldflags", STRIP, package, env={"GOBIN": str(folder)})
        next(folder.iterdir()).rename(target)

    path = cache() / "programs" / f"{name}-{digest(package, STRIP)}" / name
    return Part(path, build, f"building {name} from {package} (minutes, once)")


def go(*arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run go in the harness's module; its output."""
    if shutil.which("go") is None:
        raise ClusterError("The program go is missing: the cluster is built from Go modules.")
    return run(["go", *arguments], env={"CGO_ENABLED": "0", **(env or {})}, cwd=HERE)


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
) -> str:
    """Run a program to its end and return its output; its own last words are in the error."""
    done = subprocess.run(
        [str(word) for word in argv],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        input=stdin,
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        command = " ".join(str(word) for word in argv)
        raise ClusterError(f"`{command}` ended with {done.returncode}:\n{said}")
    return done.stdout


def unpacked_packages(
    names: Sequence[str], finish: Callable[[Path], None] = lambda root: None
) -> Part:
    """Packages of the host's distribution, fetched by apt and unpacked beside each other."""

    def fetch(target: Path) -> None:
        archives = target.parent / "archives"
        archives.mkdir()
        # apt's sandbox user may not write below the user's cache folder; it fetches as root then.
        download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *names]
        try:
            run(download, cwd=archives)
        except ClusterError:  # no package lists yet, or lists of versions that are gone
            run(["apt-get", "-qq", "update"])
            run(download, cwd=archives)
        for archive in sorted(archives.glob("*.deb")):
            run(["dpkg-deb", "-x", archive, target])
        finish(target)

    release = Path("/etc/os-release").read_bytes()
    path = cache() / "programs" / f"debian-{digest(release, *names)}" / "root"
    return Part(path, fetch, "fetching packages: " + " ".join(names))


def use_nftables(root: Path) -> None:
    """Name the flavour of iptables, which installing would do by update-alternatives."""
    sbin = root / "usr/sbin"
    for family in ("iptables", "ip6tables"):
        for action in ("", "-save", "-restore"):
            (sbin / f"{family}{action}").symlink_to("xtables-nft-multi")


def module_folder(module: str, folder: str) -> Part:
    """A copy of a folder of a Go module, such as the manifests of a program we build from it."""

    def copy(target: Path) -> None:
        facts = json.loads(go("mod", "download", "-json", module))
        shutil.copytree(Path(facts["Dir"]) / folder, target)

    path = cache() / "programs" / f"manifests-{digest(module, folder)}" / Path(folder).name
    return Part(path, copy, f"copying {folder} of {module}")
