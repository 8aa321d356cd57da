"""Large images that come to a node without the layers that are there already.

The trainer's dependencies have gigabytes and seldom change; our code has a megabyte and always
does. An image is read from where buildah keeps its layers, and containerd gets an archive of those
that it lacks; nothing is written in between.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cluster.errors import ClusterError
from cluster.places import cache

KEPT = 4
"""Images of one name that stay on nodes to come: several checkouts may use the cache in turn."""
NAME = "io.containerd.image.name"
CHUNK = 1 << 20


def storage() -> Path:
    """buildah's images and layers (containers-storage, overlay driver)."""
    return cache() / "buildah" / "root"


@dataclass(frozen=True, slots=True)
class LayeredImage:
    """An image in buildah's storage; its tag is the digest of what it was made from."""

    reference: str
    """What pods write, such as uncensor.test/trainer:0123456789abcdef."""

    @property
    def repository(self) -> str:
        return self.reference.rsplit(":", 1)[0]

    @property
    def key(self) -> str:
        """Unlike every other image's."""
        return self.reference.replace("/", "_").replace(":", "-")

    @property
    def title(self) -> str:
        return self.reference

    def exists(self) -> bool:
        return any(self.reference in (one.get("names") or ()) for one in known_images())

    def layers(self) -> list[Layer]:
        """Its layers, the base first."""
        about = {one["id"]: one for one in json.loads(read("overlay-layers/layers.json"))}
        found, following = [], stored(self)["layer"]
        while following:
            one = about[following]
            found.append(Layer(one["id"], one["diff-digest"], one["diff-size"]))
            following = one.get("parent")
        return found[::-1]

    def size(self) -> int:
        """Bytes of all layers, uncompressed."""
        return sum(layer.size for layer in self.layers())

    def write(self, target: IO[bytes], present: Collection[str]) -> None:
        """Write an OCI archive without the layers that are `present` at its reader's."""
        manifest, config = documents(self)
        entry = {
            "mediaType": json.loads(manifest)["mediaType"],
            "digest": sha256(manifest),
            "size": len(manifest),
            "annotations": {NAME: self.reference},
        }
        index = {"schemaVersion": 2, "manifests": [entry]}
        with tarfile.open(fileobj=target, mode="w|") as tree:
            add(tree, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
            add(tree, "index.json", json.dumps(index).encode())
            add(tree, blob_name(sha256(manifest)), manifest)
            add(tree, blob_name(sha256(config)), config)
            for layer in self.layers():
                if layer.digest not in present:
                    info = tarfile.TarInfo(blob_name(layer.digest))
                    info.size = layer.size
                    tree.addfile(info, Pieces(layer.content()))


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its files lie in a folder, and a recipe says how they become its tar again."""

    id: str
    digest: str
    size: int

    def content(self) -> Iterator[bytes]:
        """The bytes of its tar; the recipe's lines are headers (2) and names of files (1)."""
        files = storage() / "overlay" / self.id / "diff"
        with gzip.open(storage() / "overlay-layers" / f"{self.id}.tar-split.gz") as recipe:
            for line in recipe:
                step = json.loads(line)
                if step["type"] == 2:
                    yield base64.b64decode(step["payload"])
                elif step.get("size"):
                    yield from chunks(files / name_of(step))


def name_of(step: dict[str, Any]) -> str:
    raw = step.get("name_raw")
    return base64.b64decode(raw).decode(errors="surrogateescape") if raw else step["name"]


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data


class Pieces(io.RawIOBase):
    """A file to read from, made of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces
        self.rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = [self.rest]
        length = len(self.rest)
        while length < size and (piece := next(self.pieces, b"")):
            found.append(piece)
            length += len(piece)
        whole = b"".join(found)
        self.rest = whole[size:]
        return whole[:size]


def read(name: str) -> bytes:
    return (storage() / name).read_bytes()


def known_images() -> list[dict[str, Any]]:
    file = storage() / "overlay-images" / "images.json"
    return list(json.loads(file.read_text())) if file.exists() else []


def stored(image: LayeredImage) -> dict[str, Any]:
    """What the storage knows about an image."""
    for one in known_images():
        if image.reference in (one.get("names") or ()):
            return one
    raise ClusterError(f"The image {image.reference} is not in {storage()} any more.")


def documents(image: LayeredImage) -> tuple[bytes, bytes]:
    """The manifest and the configuration, as the image's digests are of them."""
    folder = f"overlay-images/{stored(image)['id']}"
    manifest = read(f"{folder}/manifest")
    config = json.loads(manifest)["config"]["digest"]
    return manifest, read(f"{folder}/={base64.b64encode(config.encode()).decode()}")


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def blob_name(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def add(tree: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tree.addfile(info, io.BytesIO(content))


def stale(image: LayeredImage) -> list[str]:
    """References of older images of the same name in the storage, but for the newest few."""
    dated = sorted(
        ((one["created"], name) for one in known_images() for name in one.get("names") or ()),
        reverse=True,
    )
    same = [name for _, name in dated if name.rsplit(":", 1)[0] == image.repository]
    return same[KEPT:]


def superseded(image: LayeredImage, folder: Path, suffix: str) -> Iterator[Path]:
    """Files `<key><suffix>` of older images of the same name, but for the newest few."""
    tag = image.reference.rsplit(":", 1)[1]
    known = list(folder.glob(f"{image.key.removesuffix(tag)}{'?' * len(tag)}{suffix}"))
    known.sort(key=lambda one: one.stat().st_mtime, reverse=True)
    yield from known[KEPT:]
