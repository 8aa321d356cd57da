"""Whether a command is about a folder or a cluster, and what people read when neither is there."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.command import uncensor
from uncensor_operator.cli.cluster.options import ClusterOptions, local_folder

WORKSPACE = Path("workspace")
PLUGIN = Path(sys.executable).with_name("kubectl-uncensor")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("argument", "options", "plugin", "wanted"),
    [
        pytest.param("here", ClusterOptions(), False, Path("here"), id="a folder that is there"),
        pytest.param("gone", ClusterOptions(), False, None, id="no folder: the name of a run"),
        pytest.param("./gone", ClusterOptions(), False, Path("gone"), id="a path is no name"),
        pytest.param(".", ClusterOptions(), False, Path(), id="this folder"),
        pytest.param("here", ClusterOptions("ml"), False, None, id="a namespace means a cluster"),
        pytest.param("here", ClusterOptions(context="c"), False, None, id="so does a context"),
        pytest.param("here", ClusterOptions(), True, None, id="kubectl means a cluster"),
        pytest.param(None, ClusterOptions(), False, None, id="nothing, and no workspace"),
    ],
)
def test_one_rule_tells_folders_from_runs(here, argument, options, plugin, wanted):
    (here / "here").mkdir()
    assert local_folder(argument, options, WORKSPACE, plugin=plugin) == wanted


def test_without_an_argument_the_workspace_is_meant_if_there_is_one(here):
    WORKSPACE.mkdir()
    assert local_folder(None, ClusterOptions(), WORKSPACE, plugin=False) == WORKSPACE
    assert local_folder(None, ClusterOptions(), WORKSPACE, plugin=True) is None
    everywhere = ClusterOptions(all_namespaces=True)
    assert local_folder(None, everywhere, WORKSPACE, plugin=False) is None


def failing(*arguments: str, cwd: Path, **environment: str) -> str:
    """Run a command that fails, and return its one sentence."""
    done = uncensor(*arguments, cwd=cwd, HOME=str(cwd), **{"KUBECONFIG": "", **environment})
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr.removeprefix("error: ").strip()


def test_neither_a_folder_nor_a_cluster_says_what_was_looked_for(tmp_path):
    assert failing("status", "my-run", cwd=tmp_path) == (
        "There is no folder my-run here, so a run of that name on a cluster is meant. "
        "No cluster is configured: there is no kubeconfig ~/.kube/config, and this is no pod. Set "
        "KUBECONFIG or give --kubeconfig FILE."
    )


def test_a_folder_without_a_run_says_how_to_mean_a_cluster(tmp_path):
    (tmp_path / "my-run").mkdir()
    assert "-n NAMESPACE" in failing("status", "my-run", cwd=tmp_path)


def kubeconfig(folder: Path, server: str = "https://127.0.0.1:1", **more: object) -> str:
    """Write a kubeconfig with one context, `dev`."""
    value = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dev",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "dev", "context": {"cluster": "c", "user": "u"}}],
        **more,
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(value))
    return str(path)


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        pytest.param(None, (), "does not exist", id="no file"),
        pytest.param("", (), "is empty", id="an empty file"),
        pytest.param("a: [", (), "is not YAML", id="no YAML"),
        pytest.param("- a", (), "cannot be used", id="a list"),
        pytest.param("current-context: x\n", (), "context x, which it does not have", id="no x"),
    ],
)
def test_a_kubeconfig_at_fault_is_named_with_its_fault(tmp_path, content, arguments, words):
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    said = failing("top", "--kubeconfig", str(path), *arguments, cwd=tmp_path)
    assert str(path) in said
    assert words in said


def test_an_unknown_context_is_answered_with_those_there_are(tmp_path):
    said = failing("top", "--context", "prod", cwd=tmp_path, KUBECONFIG=kubeconfig(tmp_path))
    assert said.endswith("has no context prod; there are: dev.")


def test_no_context_at_all_asks_for_one(tmp_path):
    path = kubeconfig(tmp_path, **{"current-context": ""})
    assert "name one with --context: dev" in failing("top", cwd=tmp_path, KUBECONFIG=path)


def test_a_server_that_is_not_there_is_named(tmp_path):
    with socket.socket() as taken:
        # Bound, but nobody listens: nobody else can take the port meanwhile.
        taken.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{taken.getsockname()[1]}"
        path = kubeconfig(tmp_path, server)
        said = failing("logs", "my-run", cwd=tmp_path, KUBECONFIG=path)
    assert said == (
        f"No answer from the cluster of context dev ({server}): nothing listens at that address. "
        "Is it up, and is this the right context?"
    )


def test_doctor_finds_that_the_server_is_not_there(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        path = kubeconfig(tmp_path, f"https://127.0.0.1:{taken.getsockname()[1]}")
        done = uncensor("doctor", cwd=tmp_path, KUBECONFIG=path)
    assert done.returncode == 1
    assert "problem  API server: No answer" in done.stdout
    assert done.stderr == ""


def test_kubectls_name_stands_in_the_usage(tmp_path):
    done = subprocess.run(
        [PLUGIN, "logs", "-h"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split("Usage: ")[1].startswith("kubectl uncensor logs [OPTIONS]")


def test_help_does_not_load_the_client_library():
    script = (
        "import sys, uncensor_operator.cli.__main__;"
        "print([name for name in ('kubernetes', 'kopf', 'rich.live') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_missing_client_library_says_what_to_install(tmp_path):
    # A module of that name without the library's contents stands for an installation without it.
    (tmp_path / "kubernetes.py").write_text("raise ModuleNotFoundError('kubernetes')\n")
    said = failing("top", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert said.endswith("pip install 'uncensor-operator[operator]'")
