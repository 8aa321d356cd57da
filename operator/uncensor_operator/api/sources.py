"""Where models, data sets and prompts come from: exactly one kind of place each."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from uncensor_operator.api.base import ApiModel, ListSet, Rule, one_of
from uncensor_operator.api.kinds import (
    Bucket,
    EntryName,
    FileName,
    Glob,
    HubRepo,
    ObjectName,
    ObjectPrefix,
    PackageFile,
    PackageName,
    PackageVersion,
    Path,
    Region,
    Revision,
    SecretKey,
    Sha256,
    Url,
)

DataFormat = Literal["auto", "alpaca", "sharegpt", "messages", "prompt-completion"]
Files = Annotated[tuple[Glob, ...], Field(max_length=64), ListSet()]


class SecretKeyRef(ApiModel):
    """One key of a Secret in the namespace of the run."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey = "token"
    """Key inside the Secret whose value is used."""


class SecretRef(ApiModel):
    """A Secret in the namespace of the run."""

    name: ObjectName
    """Name of the Secret."""


class HuggingFaceSource(ApiModel):
    """A repository on the Hugging Face hub, or on a mirror of it."""

    repo: HubRepo
    """Repository as `owner/name`."""
    revision: Revision = "main"
    """Branch, tag or commit; it is resolved to a commit once, and that commit is recorded."""
    files: Files = ()
    """File names or patterns such as `*.json`; empty means every file that is needed."""
    token_secret_ref: SecretKeyRef | None = None
    """Access token for private and gated repositories; a local run reads HF_TOKEN instead."""


class S3Source(ApiModel):
    """Objects in an S3 bucket."""

    bucket: Bucket
    """Name of the bucket."""
    prefix: ObjectPrefix | None = None
    """Only objects whose name begins so; absent means the whole bucket."""
    files: Files = ()
    """File names or patterns below the prefix; empty means every file that is needed."""
    endpoint: Url | None = None
    """Address of an S3-compatible server; absent means Amazon's."""
    region: Region | None = None
    """Region of the bucket; absent lets the server decide."""
    credentials_secret_ref: SecretRef | None = None
    """Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; absent means anonymous access."""


class HttpSource(ApiModel):
    """One file behind a URL."""

    url: Url
    """Address of the file; an interrupted download is resumed."""
    sha256: Sha256 | None = None
    """Digest that the content must have; absent accepts and records what came."""
    filename: FileName | None = None
    """Name to store the file under; absent takes the last part of the URL."""


class PackageSource(ApiModel):
    """A file shipped inside an installed Python package."""

    name: PackageName
    """Name of the package as pip knows it."""
    version: PackageVersion | None = None
    """Version that must be installed; absent accepts any."""
    file: PackageFile
    """Path of the file below site-packages, beginning with the import package."""


class Source(ApiModel):
    """A place that a model or data comes from: exactly one of the fields."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of("hugging_face", "s3", "http", "path", "package"),)

    hugging_face: HuggingFaceSource | None = None
    """A repository on the Hugging Face hub."""
    s3: S3Source | None = None
    """Objects in an S3 bucket."""
    http: HttpSource | None = None
    """One file behind a URL."""
    path: Path | None = None
    """A file or folder on the workspace (relative to it); in a local run also on this machine."""
    package: PackageSource | None = None
    """A file shipped inside an installed Python package."""


class ModelSource(Source):
    """A model: a folder or repository with safetensors weights, or a GGUF file in a package."""


class InputSource(Source):
    """A file with prompts: exactly one of the fields."""

    rules: ClassVar[tuple[Rule, ...]] = (
        one_of("hugging_face", "s3", "http", "path", "package", "bundled"),
    )

    bundled: Literal[True] | None = None
    """`true` takes the list that comes with the trainer."""


BUNDLED = InputSource(bundled=True)


class DataSource(Source):
    """Rows to learn from: exactly one kind of place, and how to read it."""

    format: DataFormat = "auto"
    """How a row is laid out; `auto` looks at the first rows."""
    max_rows: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Only the first rows, for trials; absent takes all."""


class DatasetName(ApiModel):
    """What tells data sets apart; a class of its own, so that it is the first field."""

    name: EntryName
    """Name in reports and in the decisions of the filter."""


class Dataset(DataSource, DatasetName):
    """One instruction data set."""
