"""The `uncensor` command. Commands import what they need themselves, so that --help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from uncensor_operator.cli import filter as filtering
from uncensor_operator.errors import UncensorError

app = typer.Typer(
    name="uncensor",
    help="Filter, fine-tune, evaluate and compare a model, from one declarative file.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

ManifestArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="training.yaml, or - for stdin")
]
RunFolderArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="a workspace, or one run's folder in it")
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


@app.command()
def status(folder: RunFolderArgument = DEFAULT_WORKSPACE, as_json: JsonOption = False) -> None:
    """Show how the runs of a workspace stand."""
    from uncensor_operator.cli import status as command

    raise typer.Exit(command.status(folder, as_json=as_json))


@app.command()
def report(
    folder: RunFolderArgument = DEFAULT_WORKSPACE,
    open_it: Annotated[bool, typer.Option("--open", help="open it in the browser")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the comparison of a finished run, and where its page lies."""
    from uncensor_operator.cli import report as command

    raise typer.Exit(command.report(folder, open_it=open_it, as_json=as_json))


filtering.register(app)


def main() -> None:
    """Run the command; errors for people go to standard error, in sentences."""
    try:
        app()
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
