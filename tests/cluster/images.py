"""Container images: written by hand from a few files, kept in the cache, ready for every node.

A node must not spend a minute on importing a large image at each `up`. So one containerd root, the
seed, holds all images; a node starts from a copy of it that shares every large file (hard links).
The project's own images come there without the layers that it has (`layered.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError
from cluster.layered import LayeredImage, superseded
from cluster.places import cache, locked
from cluster.programs import Programs, Say, cached, digest, run

PAUSE = "uncensor.test/pause:1"
TOOLS = "uncensor.test/tools:1"
"""busybox with every applet in /bin, as user 65532; for pods of tests."""

# The second would make a folder in /opt.
WITHOUT_CRI = '"io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"'


@dataclass(frozen=True, slots=True)
class Archive:
    """A docker-archive in the cache; its file name is the digest of what it was made from."""

    path: Path

    @property
    def key(self) -> str:
        return self.path.stem

    @property
    def title(self) -> str:
        return self.path.name


Image = Archive | LayeredImage


def basic_images(programs: Programs) -> tuple[Archive, ...]:
    """The archives that every node has: the pause image and the tools."""
    return (pause_archive(programs), tools_archive(programs))


def archive(key: str) -> Path:
    """Where the archive made from inputs of this digest is, or will be."""
    return cache() / "images" / f"{key}.tar"


def pause_archive(programs: Programs) -> Archive:
    program = Path(programs.path("pause")).read_bytes()

    def make(target: Path) -> None:
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tree:
            add_file(tree, "pause", program, mode=0o755)
        config = {"Entrypoint": ["/pause"], "User": "65535:65535"}
        write_archive(target, PAUSE, layer.getvalue(), config)

    return Archive(cached(archive(digest("pause 1", program)), make))


def tools_archive(programs: Programs) -> Archive:
    busybox = Path(programs.path("busybox"))
    program = busybox.read_bytes()

    def make(target: Path) -> None:
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tree:
            add_folders(tree)
            add_file(tree, "bin/busybox", program, mode=0o755)
            add_file(
                tree, "etc/passwd", b"root:x:0:0::/:/bin/sh\ntester:x:65532:65532::/tmp:/bin/sh\n"
            )
            for applet in sorted(set(run([busybox, "--list"]).split()) - {"busybox"}):
                add_link(tree, f"bin/{applet}", "busybox")
        config = {"Cmd": ["/bin/sh"], "User": "65532:65532", "Env": ["PATH=/bin", "HOME=/tmp"]}
        write_archive(target, TOOLS, layer.getvalue(), config)

    return Archive(cached(archive(digest("tools 1", program)), make))


def entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    # No times and owners: the same content is the same image.
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, 0
    return info


def add_file(tree: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    info = entry(name, tarfile.REGTYPE, mode)
    info.size = len(content)
    tree.addfile(info, io.BytesIO(content))


def add_link(tree: tarfile.TarFile, name: str, target: str) -> None:
    info = entry(name, tarfile.SYMTYPE, 0o777)
    info.linkname = target
    tree.addfile(info)


def add_folders(tree: tarfile.TarFile) -> None:
    for name, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
        tree.addfile(entry(name, tarfile.DIRTYPE, mode))


def write_archive(target: Path, name: str, layer: bytes, config: Mapping[str, object]) -> None:
    """Write an image of one layer in the format of `docker save`."""
    about = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {
                "type": "layers",
                "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()],
            },
        }
    ).encode()
    parts = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(target, "w") as whole:
        add_file(whole, "config.json", about)
        add_file(whole, "layer.tar", layer)
        add_file(whole, "manifest.json", json.dumps(parts).encode())


def fill(root: Path, programs: Programs, wanted: Sequence[Image], say: Say) -> None:
    """Make `root` the containerd root of a new node that holds the images `wanted`."""
    with locked(cache() / "seed.lock"):
        seed = sown(programs, wanted, say)
        copy_root(seed / "root", root)


def sow(programs: Programs, wanted: Sequence[Image], say: Say) -> None:
    """Have images in the seed, from which nodes start."""
    with locked(cache() / "seed.lock"):
        sown(programs, wanted, say)


def sown(programs: Programs, wanted: Sequence[Image], say: Say) -> Path:
    """The seed, with the images `wanted` in it; whoever calls this holds its lock."""
    seed = cache() / "seed"
    missing = [one for one in wanted if not imported(seed, one).exists()]
    if missing:
        with containerd(seed, programs) as socket:
            for one in missing:
                say(f"importing {one.title} (once)")
                import_image(programs, socket, one)
                imported(seed, one).touch()
                remove_superseded(programs, socket, seed, one)
    return seed


def imported(seed: Path, one: Image) -> Path:
    return seed / f"{one.key}.imported"


def remove_superseded(programs: Programs, socket: Path, seed: Path, one: Image) -> None:
    """Remove older images of the same name from the seed, so that it does not grow for ever."""
    if isinstance(one, LayeredImage):
        for mark in list(superseded(one, seed, ".imported")):
            tag = mark.name.removesuffix(".imported").rsplit("-", 1)[1]
            ctr(programs, socket, "images", "remove", "--sync", f"{one.repository}:{tag}")
            mark.unlink()


def import_image(programs: Programs, socket: Path, one: Image) -> None:
    """Import an image through the containerd that listens on `socket`."""
    if isinstance(one, Archive):
        ctr(programs, socket, "images", "import", str(one.path))
        return
    present = set(ctr(programs, socket, "content", "list", "--quiet").split())
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            ctr_argv(programs, socket, "images", "import", "-"),
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            one.write(process.stdin, present)
        if process.wait():
            said.seek(0)
            raise ClusterError(f"{one.title} was not imported:\n{said.read().decode()[-2000:]}")


def holds(programs: Programs, socket: Path, one: LayeredImage) -> bool:
    """Whether a containerd has the image already."""
    return one.reference in ctr(programs, socket, "images", "list", "--quiet").split()


def ctr_argv(programs: Programs, socket: Path, *words: str) -> list[str]:
    return [programs.path("ctr"), "--address", str(socket), "--namespace", "k8s.io", *words]


def ctr(programs: Programs, socket: Path, *words: str) -> str:
    """The output of containerd's client, in the namespace that kubelet uses."""
    return run(ctr_argv(programs, socket, *words))


@contextlib.contextmanager
def containerd(folder: Path, programs: Programs) -> Iterator[Path]:
    """Run a containerd without Kubernetes on `folder`/root; its socket."""
    folder.mkdir(parents=True, exist_ok=True)
    socket = folder / "containerd.sock"
    socket.unlink(missing_ok=True)
    config = folder / "config.toml"
    config.write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        f"disabled_plugins = [{WITHOUT_CRI}]\n"
        f'[grpc]\naddress = "{socket}"\n'
    )
    # What it mounts to unpack layers ends with its mount namespace, and it ends with this process.
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "slave"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, programs.path("containerd"), "--config", config],
            env=programs.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        await_socket(process, socket, folder / "log")
        yield socket
    finally:
        process.terminate()
        process.wait()


def await_socket(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ClusterError("containerd did not start:\n" + log.read_text()[-2000:])
        time.sleep(0.1)


def copy_root(seed: Path, root: Path) -> None:
    """Copy a containerd root at rest; blobs and layers, which never change, are shared."""
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    run(["cp", "--archive", "--link", seed, root])
    for database in root.rglob("*.db"):
        copy = database.with_suffix(".copy")
        shutil.copyfile(database, copy)
        os.replace(copy, database)
