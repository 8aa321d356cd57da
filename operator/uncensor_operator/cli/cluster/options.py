"""Which cluster and namespace a command is about: the options that kubectl has, too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from uncensor_operator.errors import ClusterError

NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", metavar="NAME", help="namespace; else the context's, else default"
    ),
]
AllNamespacesOption = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="runs of every namespace")
]
ContextOption = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="context of the kubeconfig")
]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option("--kubeconfig", metavar="FILE", help="else KUBECONFIG, else ~/.kube/config"),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="name of a run on the cluster")]


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """The options as given; None where the kubeconfig decides."""

    namespace: str | None = None
    all_namespaces: bool = False
    context: str | None = None
    kubeconfig: Path | None = None

    @property
    def any_given(self) -> bool:
        """Whether the user speaks of a cluster at all."""
        return self != ClusterOptions()

    def as_words(self) -> str:
        """Return the options as one writes them, for commands that a message proposes."""
        given = (("-n", self.namespace), ("--context", self.context))
        words = [f"{flag} {value}" for flag, value in given if value]
        if self.kubeconfig is not None:
            words.append(f"--kubeconfig {self.kubeconfig}")
        return "".join(f" {word}" for word in words)


def is_kubectl_plugin() -> bool:
    """Whether the program was called as `kubectl uncensor`.

    kubectl starts a program named kubectl-uncensor, and gives it no other sign.
    """
    return Path(sys.argv[0]).stem.replace("_", "-") == "kubectl-uncensor"


def program() -> str:
    """Return what the user typed before the command, for usage and proposals."""
    return "kubectl uncensor" if is_kubectl_plugin() else "uncensor"


def local_folder(
    argument: str | None, options: ClusterOptions, workspace: Path, *, plugin: bool
) -> Path | None:
    """Return the folder that `status` and `report` are about, or None when a cluster is meant.

    A cluster is meant when an option names one, or when the program is called by kubectl. Else a
    folder is meant if there is one: the argument's, or the workspace without an argument. A run's
    name has no slash, so an argument with one is always a folder, there or not.
    """
    if options.any_given or plugin:
        return None
    if argument is None:
        return workspace if workspace.is_dir() else None
    is_folder = "/" in argument or argument in (".", "..") or Path(argument).is_dir()
    return Path(argument) if is_folder else None


@contextmanager
def saying_why(
    argument: str | None, options: ClusterOptions, workspace: Path, *, plugin: bool
) -> Iterator[None]:
    """Let errors begin with why a cluster was asked, where the user named none."""
    try:
        yield
    except ClusterError as error:
        if options.any_given or plugin:
            raise
        meant = "a run of that name on a cluster is" if argument else "the runs of a cluster are"
        sought = argument or workspace
        message = f"There is no folder {sought} here, so {meant} meant. {error}"
        raise ClusterError(message, error.code) from error
