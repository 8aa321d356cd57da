"""The commands that are about a cluster only, as `uncensor --help` lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from uncensor_operator.cli.cluster.options import (
    AllNamespacesOption,
    ClusterOptions,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    RunArgument,
)

JsonOption = Annotated[bool, typer.Option("--json", help="JSON for programs")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (top, logs, suspend, resume, retry, doctor):
        app.command()(command)


def top(
    once: Annotated[bool, typer.Option("--once", help="print the table once, and end")] = False,
    seconds: Annotated[
        float, typer.Option("--interval", min=0.5, help="seconds between two looks")
    ] = 2.0,
    namespace: NamespaceOption = None,
    all_namespaces: AllNamespacesOption = False,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Watch all runs of a cluster in one table; --json prints it once."""
    from uncensor_operator.cli.cluster import top as command

    options = ClusterOptions(namespace, all_namespaces, context, kubeconfig)
    raise typer.Exit(command.top(options, once=once, seconds=seconds, as_json=as_json))


def logs(
    name: RunArgument,
    stage: Annotated[
        str | None, typer.Option("--stage", help="a stage; else the one begun last")
    ] = None,
    attempt: Annotated[
        int | None, typer.Option("--attempt", min=1, help="a try of the stage; else the last")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="go on until the stage, or the run, ends")
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", min=0, help="only so many lines of each pod")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="lines as the pods wrote them")] = False,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
) -> None:
    """Show what the pods of a stage wrote; --raw leaves the trainer's JSON lines as they are."""
    from uncensor_operator.cli.cluster import logs as command

    options = ClusterOptions(namespace, context=context, kubeconfig=kubeconfig)
    code = command.logs(
        name, options, stage=stage, attempt=attempt, follow=follow, tail=tail, raw=raw
    )
    raise typer.Exit(code)


def suspend(
    name: RunArgument,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Save a run on the cluster, stop it, and give its nodes back."""
    from uncensor_operator.cli.cluster import edit

    options = ClusterOptions(namespace, context=context, kubeconfig=kubeconfig)
    raise typer.Exit(edit.suspend(name, options, wanted=True, as_json=as_json))


def resume(
    name: RunArgument,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a suspended run go on from its last checkpoint."""
    from uncensor_operator.cli.cluster import edit

    options = ClusterOptions(namespace, context=context, kubeconfig=kubeconfig)
    raise typer.Exit(edit.suspend(name, options, wanted=False, as_json=as_json))


def retry(
    name: RunArgument,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a stalled run again, once its cause is away."""
    from uncensor_operator.cli.cluster import edit

    options = ClusterOptions(namespace, context=context, kubeconfig=kubeconfig)
    raise typer.Exit(edit.retry(name, options, as_json=as_json))


def doctor(
    operator_namespace: Annotated[
        str | None,
        typer.Option(
            "--operator-namespace", metavar="NAME", help="where the operator is; else searched"
        ),
    ] = None,
    namespace: NamespaceOption = None,
    all_namespaces: AllNamespacesOption = False,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check what runs need on a cluster, and say what to do; exit code 1 with a problem."""
    from uncensor_operator.cli.cluster.doctor import command

    options = ClusterOptions(namespace, all_namespaces, context, kubeconfig)
    code = command.doctor(options, operator_namespace=operator_namespace, as_json=as_json)
    raise typer.Exit(code)
