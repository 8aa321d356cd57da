"""The chart of this checkout, rendered by the real helm, without a cluster."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "uncensor-operator"
RELEASE = "uncensor-operator"
NAMESPACE = "uncensor-system"
Object = dict[str, Any]
# Safe, like the one in plain Python, which takes a second for the CRD.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RefusedError(Exception):
    """helm's complaint."""


@dataclass(frozen=True, slots=True)
class Helm:
    """helm with a home of its own."""

    program: Path
    home: Path
    rendered: dict[str, list[Object]] = field(default_factory=dict)
    """By what was asked: many tests look at the same objects."""

    def run(self, *words: str | Path, values: Mapping[str, Any] | None = None) -> str:
        """What helm said; `RefusedError` with its complaint."""
        folders = {f"HELM_{name}_HOME": str(self.home / name) for name in HOMES}
        done = subprocess.run(
            [self.program, *words, *([] if values is None else ["--values", "-"])],
            env=folders | {"HOME": str(self.home), "PATH": "/usr/bin:/bin"},
            input="" if values is None else yaml.safe_dump(dict(values)),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RefusedError(done.stderr.strip() + done.stdout.strip())
        return done.stdout

    def objects(
        self, values: Mapping[str, Any] | None = None, chart: Path = CHART, *flags: str
    ) -> list[Object]:
        """The objects of an installation."""
        key = json.dumps([values or {}, str(chart), flags])
        if key not in self.rendered:
            where = ["--namespace", NAMESPACE, *flags]
            text = self.run("template", RELEASE, chart, *where, values=values or {})
            self.rendered[key] = [one for one in yaml.load_all(text, LOADER) if one]
        return copy.deepcopy(self.rendered[key])


HOMES = ("CACHE", "CONFIG", "DATA")


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [one for one in objects if one["kind"] == kind]


def only(objects: list[Object], kind: str) -> Object:
    """The one object of a kind."""
    (found,) = of_kind(objects, kind)
    return found


def pod_of(objects: list[Object]) -> Object:
    """What the Deployment's pods are."""
    spec: Object = only(objects, "Deployment")["spec"]["template"]["spec"]
    return spec
