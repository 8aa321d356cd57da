"""Images that are built from Dockerfiles, the project's own among them, without Docker.

What users build is what the tests run: buildah builds the same file, and a Debian of the same
release stands in for the base image, which is on a registry that tests do not ask.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.images import Archive, archive
from cluster.layered import LayeredImage, stale
from cluster.places import cache, locked
from cluster.programs import Say, cached, digest, run, unpacked_packages

BASE = "localhost/uncensor-test-base:1"
"""The stand-in for `python:3.11-slim`: Debian 12 with Python 3.11, pip and venv."""
PACKAGES = (
    "buildah",
    "debootstrap",
    "libsubid4",
    "libgpgme11",
    "libassuan0",
    "libdevmapper1.02.1",
    "golang-github-containers-common",
    "golang-github-containers-image",
)
RELEASE = "bookworm"
INSIDE = ("ca-certificates", "python3", "python3-venv", "python3-pip")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def build(
    name: str,
    dockerfile: Path,
    sources: Sequence[Path],
    say: Say,
    *,
    target: str | None = None,
    arguments: Mapping[str, str] | None = None,
) -> Archive:
    """Build the image `name` (with a tag) from `dockerfile`, once for the same inputs.

    `sources` are the files and folders beside the Dockerfile that it copies: they alone are the
    context, and their contents the cache's key. BASE is given as the build argument of that name.
    """
    recipe = Recipe(dockerfile, tuple(sources), target, tuple(sorted((arguments or {}).items())))
    key = recipe.key(name)
    tools = prepare(say)

    def make(path: Path) -> None:
        recipe.build(tools, name, path.parent)
        buildah(tools, "push", "--disable-compression", name, f"docker-archive:{path}:{name}")

    with locked(cache() / "builds.lock"):
        if not archive(key).exists():
            say(f"building the image {name} (minutes, once for the same files)")
        return Archive(cached(archive(key), make))


def build_layered(
    name: str,
    dockerfile: Path,
    sources: Sequence[Path],
    say: Say,
    *,
    target: str | None = None,
    arguments: Mapping[str, str] | None = None,
) -> LayeredImage:
    """As `build`, for large images: equal layers of several builds are kept, and imported, once.

    `name` has no tag; the image gets the digest of what it was made from as its tag, so that a
    node that has it can be asked for exactly this build.
    """
    recipe = Recipe(dockerfile, tuple(sources), target, tuple(sorted((arguments or {}).items())))
    image = LayeredImage(f"{name}:{recipe.key(name)}")
    if image.exists():
        return image
    tools = prepare(say)
    # A lock of its own: a build of gigabytes must not hold up one of megabytes.
    lock = cache() / f"build-{name.replace('/', '-')}.lock"
    with locked(lock), partial_folder() as scratch:
        if not image.exists():
            say(f"building the image {image.reference} (minutes, once for the same files)")
            recipe.build(tools, image.reference, scratch)
            for old in stale(image):
                buildah(tools, "rmi", old)
    return image


@contextlib.contextmanager
def partial_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=cache(), prefix="partial-") as scratch:
        yield Path(scratch)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made from."""

    dockerfile: Path
    sources: tuple[Path, ...]
    target: str | None
    arguments: tuple[tuple[str, str], ...]

    def key(self, name: str) -> str:
        """The digest of everything that decides the image."""
        given = repr(list(self.arguments))
        facts = [name, self.dockerfile.read_text(), self.target or "", base_key(), given]
        return digest(*facts, *contents(self.dockerfile.parent, self.sources))

    def build(self, tools: Path, name: str, scratch: Path) -> None:
        """Build the image `name` in buildah's storage; `scratch` is an empty folder."""
        context = scratch / "context"
        copy_context(self.dockerfile, self.sources, context)
        words = ["--build-arg", f"BASE={BASE}"]
        for argument, value in self.arguments:
            words += ["--build-arg", f"{argument}={value}"]
        words += ["--target", self.target] if self.target else []
        # The host's certificates: where a proxy inspects traffic, pip must trust what we trust.
        words += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro", "--isolation", "chroot"]
        words += ["--force-rm"]  # after a failure, too
        buildah(tools, "bud", "--layers", *words, "--tag", name, context)


def prepare(say: Say) -> Path:
    """Have the base image, and buildah to build on it; the folder where it is unpacked."""
    part = unpacked_packages(PACKAGES)
    if part.path.exists() and base_mark().exists():
        return part.path
    with locked(cache() / "builds.lock"):
        tools = cached(part.path, part.make)
        make_base(tools, say)
    return tools


def base_key() -> str:
    return digest("base 1", RELEASE, *INSIDE)


def base_mark() -> Path:
    """The file that says that the base image is in buildah's storage."""
    return cache() / "buildah" / f"{base_key()}.base"


def make_base(tools: Path, say: Say) -> None:
    """Have the stand-in base image in buildah's storage."""

    def make(path: Path) -> None:
        say("building the base image with debootstrap (minutes, once)")
        root = path.parent / "root"
        script = tools / "usr/sbin/debootstrap"
        folder = {"DEBOOTSTRAP_DIR": str(tools / "usr/share/debootstrap")}
        packages = f"--include={','.join(INSIDE)}"
        run([script, "--variant=minbase", packages, RELEASE, root], env=folder)
        slim(root)
        container = buildah(tools, "from", "scratch").strip()
        buildah(tools, "add", "--quiet", container, root, "/")
        buildah(tools, "commit", "--quiet", "--rm", container, BASE)
        path.touch()

    cached(base_mark(), make)


def slim(root: Path) -> None:
    """Make a Debian look like python:3.11-slim, where pip may install and python is python3."""
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)


def buildah(tools: Path, *arguments: str | Path) -> str:
    """Run buildah on a storage of our own, with nothing of the host's configuration."""
    storage = cache() / "buildah"
    storage.mkdir(parents=True, exist_ok=True)
    config = tools / "etc/containers"
    command, *rest = arguments
    # What asks nobody for a signature does not know the flag.
    policy = () if command in ("rmi", "images") else ("--signature-policy", config / "policy.json")
    argv = [
        *("unshare", "--mount", "--propagation", "slave"),  # an interrupted build leaves no mounts
        *("sh", "-euc", f'{with_libraries(tools)}; exec "$0" "$@"'),
        *(tools / "usr/bin/buildah", command),
        *("--root", storage / "root", "--runroot", storage / "run", "--storage-driver", "overlay"),
        *("--registries-conf", config / "registries.conf"),
        *policy,
        *rest,
    ]
    return run(argv, env={"TMPDIR": str(storage)})


def with_libraries(tools: Path) -> str:
    """Shell words that lay the tools' libraries over the host's, in a mount namespace.

    buildah starts itself again with an environment of its own making, without LD_LIBRARY_PATH.
    """
    found = sorted([*tools.glob("usr/lib/*-linux-gnu*"), *tools.glob("lib/*-linux-gnu*")])
    system = Path("/usr/lib") / found[0].name
    layers = ":".join(str(folder) for folder in [*found, system])
    return f"mount -t overlay -o lowerdir={layers} overlay {system}"


def contents(root: Path, sources: Sequence[Path]) -> list[str | bytes]:
    """Names, modes and contents of all files of a build, in order."""
    facts: list[str | bytes] = []
    for source in sources:
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if file.is_file() and "__pycache__" not in file.parts:
                facts += [str(file.relative_to(root)), oct(file.stat().st_mode), file.read_bytes()]
    return facts


def copy_context(dockerfile: Path, sources: Sequence[Path], context: Path) -> None:
    """Copy what the build may see."""
    context.mkdir()
    shutil.copy(dockerfile, context / "Dockerfile")
    for source in sources:
        target = context / source.relative_to(dockerfile.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
