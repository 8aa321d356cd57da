"""The `uncensor` command. Commands import what they need themselves, so that --help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from uncensor_operator.cli import filter as filtering
from uncensor_operator.cli.cluster import commands
from uncensor_operator.cli.cluster.options import (
    AllNamespacesOption,
    ClusterOptions,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    is_kubectl_plugin,
    local_folder,
    program,
    saying_why,
)
from uncensor_operator.errors import UncensorError

app = typer.Typer(
    name="uncensor",
    help="Filter, fine-tune, evaluate and compare a model, from one declarative file.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ManifestArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="training.yaml, or - for stdin")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="override a field, e.g. training.epochs=1"),
]
WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", envvar="UNCENSOR_WORKSPACE", help="where everything is kept")
]
StageOption = Annotated[
    list[str] | None, typer.Option("--stage", help="only this stage; may be repeated")
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="STAGE", help="do this stage and all after it again"),
]
RunOption = Annotated[
    str | None, typer.Option("--run", help="name of the training, when FILE has several")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for programs")]
DEFAULT_WORKSPACE = Path("workspace")


@app.command()
def run(
    file: ManifestArgument,
    overrides: SetOption = None,
    stages: StageOption = None,
    from_stage: FromOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show stages, settings and estimates; run nothing")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    name: RunOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a training on this machine; the same command resumes one that was stopped."""
    from uncensor_operator.cli import run as command

    code = command.run(
        file,
        overrides=overrides or [],
        stages=stages or [],
        from_stage=from_stage,
        dry_run=dry_run,
        workspace=workspace,
        name=name,
        as_json=as_json,
    )
    raise typer.Exit(code)


@app.command()
def plan(
    file: ManifestArgument,
    overrides: SetOption = None,
    stages: StageOption = None,
    from_stage: FromOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    name: RunOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what `run` would do: stages, resolved settings, memory, disk and time."""
    from uncensor_operator.cli import run as command

    code = command.run(
        file,
        overrides=overrides or [],
        stages=stages or [],
        from_stage=from_stage,
        dry_run=True,
        workspace=workspace,
        name=name,
        as_json=as_json,
    )
    raise typer.Exit(code)


@app.command()
def validate(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="files, folders, or - for stdin")
    ],
    as_json: JsonOption = False,
) -> None:
    """Check manifests; exit code 1 when any field is at fault."""
    from uncensor_operator.cli import validate as command

    raise typer.Exit(command.validate(files, as_json=as_json))


PlaceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="DIR|RUN",
        help="a workspace or one run's folder in it; else the name of a run on the cluster",
        show_default=False,
    ),
]


@app.command()
def status(
    place: PlaceArgument = None,
    namespace: NamespaceOption = None,
    all_namespaces: AllNamespacesOption = False,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how runs stand, of a workspace or of a cluster.

    Without DIR|RUN: the folder ./workspace if it is there, else the runs of the cluster. An
    option that names a cluster or a namespace, or calling it by kubectl, always means a cluster.
    """
    options = ClusterOptions(namespace, all_namespaces, context, kubeconfig)
    folder = local_folder(place, options, DEFAULT_WORKSPACE, plugin=is_kubectl_plugin())
    if folder is not None:
        from uncensor_operator.cli import status as local

        raise typer.Exit(local.status(folder, as_json=as_json))
    from uncensor_operator.cli.cluster import status as remote

    with saying_why(place, options, DEFAULT_WORKSPACE, plugin=is_kubectl_plugin()):
        code = remote.status(place, options, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def report(
    place: PlaceArgument = None,
    open_it: Annotated[bool, typer.Option("--open", help="open it in the browser")] = False,
    download: Annotated[
        Path | None,
        typer.Option("--download", metavar="FILE", help="cluster: bring the page from its volume"),
    ] = None,
    namespace: NamespaceOption = None,
    all_namespaces: AllNamespacesOption = False,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the comparison of finished runs, and where its page lies.

    DIR|RUN is found as `status` finds it.
    """
    options = ClusterOptions(namespace, all_namespaces, context, kubeconfig)
    folder = local_folder(place, options, DEFAULT_WORKSPACE, plugin=is_kubectl_plugin())
    if folder is not None:
        from uncensor_operator.cli import report as local

        if download is not None:
            raise UncensorError(
                f"{folder} is a folder: its page is there, --download is not for it."
            )
        raise typer.Exit(local.report(folder, open_it=open_it, as_json=as_json))
    from uncensor_operator.cli.cluster import report as remote

    with saying_why(place, options, DEFAULT_WORKSPACE, plugin=is_kubectl_plugin()):
        code = remote.report(place, options, download=download, open_it=open_it, as_json=as_json)
    raise typer.Exit(code)


filtering.register(app)
commands.register(app)


def main() -> None:
    """Run the command; errors for people go to standard error, in sentences."""
    try:
        app(prog_name=program())
    except UncensorError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except BrokenPipeError:
        # The reader (head, less) has gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)  # noqa: T201
        sys.exit(74)


if __name__ == "__main__":
    main()
