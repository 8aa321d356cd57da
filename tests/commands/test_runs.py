"""`uncensor` on a real API server: looking at runs, and changing them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.command import uncensor

pytestmark = pytest.mark.cluster


def test_status_lists_runs_with_state_and_message(runs, command):
    runs.recorded("running", "busy")
    runs.recorded("stalled", "stuck")
    done = command("status")
    head, busy, stuck = done.stdout.splitlines()
    assert head.split() == ["NAME", "STATE", "STAGE", "PROGRESS", "AGE", "MESSAGE"]
    assert busy.split()[:2] == ["busy", "Running"]
    assert "120/800 15 %" in busy
    assert stuck.split()[:2] == ["stuck", "Stalled"]
    assert "Look at its log, then retry." in stuck


def test_status_of_one_run_tells_its_stages_and_what_to_do_next(runs, command, namespace):
    runs.recorded("stalled")
    done = command("status", "my-run")
    assert done.returncode == 0
    assert done.stdout.startswith(f"my-run  Stalled  (namespace {namespace.name})")
    # The run's message begins with the stage's name, too.
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["train", "Failed", "3"] in [words[:3] for words in lines]
    assert f"uncensor retry my-run -n {namespace.name}" in done.stdout


def test_a_run_that_no_operator_has_seen_says_so(runs, command):
    runs.recorded("created", observedGeneration=-1)
    assert "No operator has seen this run yet" in command("status", "my-run").stdout


def test_an_unknown_run_is_answered_with_those_there_are(runs, command, namespace):
    runs.recorded("running", "real-one")
    done = command("status", "reel-one")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: No run reel-one in namespace {namespace.name} of the")
    assert "its runs: real-one" in done.stderr


def test_all_namespaces_and_json_are_for_programs(runs, command, cluster, namespace, tmp_path):
    runs.recorded("running")
    done = uncensor("status", "-A", "--json", cwd=tmp_path, KUBECONFIG=str(cluster.kubeconfig))
    spaces = {one["metadata"]["namespace"] for one in json.loads(done.stdout)}
    assert namespace.name in spaces
    one = json.loads(command("status", "my-run", "--json").stdout)
    assert one["status"]["training"]["loss"] == "1.2345"


def test_top_shows_speed_and_restarts_once(runs, command):
    runs.recorded("running")
    _, head, row = command("top", "--once").stdout.splitlines()
    cells = dict(zip(head.split(), row.split("   "), strict=False))
    assert cells["NAME"] == "my-run"
    for words in ("1.2345", "18.2 k", "1 h 30 min", "a100-80gb x2", "0 (+1 by the cluster)"):
        assert words in row


def test_top_without_a_terminal_prints_one_table_after_another(runs, cluster, namespace):
    runs.recorded("running")
    argv = ["top", "-n", namespace.name, "--interval", "0.5"]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "uncensor_operator.cli", *argv],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        heads = 0
        for line in process.stdout:
            heads += line.startswith("NAME ")
            if heads == 1 and line.startswith("my-run"):
                runs.write_status("my-run", {"training": {"loss": "0.5"}})
            if "0.5" in line:
                break
        process.terminate()
    assert heads >= 2


def test_suspend_and_resume_change_the_spec_once(runs, command):
    runs.recorded("running")
    done = command("suspend", "my-run")
    assert done.stdout.startswith("my-run will save its state")
    suspended = runs.get()
    assert suspended["spec"]["suspend"] is True
    assert "nothing changed" in command("suspend", "my-run").stdout
    assert runs.get()["metadata"]["generation"] == suspended["metadata"]["generation"]
    assert json.loads(command("resume", "my-run", "--json").stdout)["changed"] is True
    assert runs.get()["spec"]["suspend"] is False


def test_a_finished_run_cannot_be_suspended(runs, command):
    runs.recorded("succeeded")
    done = command("suspend", "my-run")
    assert (done.returncode, done.stderr) == (
        1,
        "error: my-run has finished; there is nothing to suspend.\n",
    )


def test_retry_gives_a_stalled_run_a_new_value_each_time(runs, command):
    runs.recorded("stalled")
    values = []
    for _ in range(2):
        done = command("retry", "my-run")
        assert "it was stalled by BackoffLimitExceeded" in done.stdout
        values.append(runs.get()["metadata"]["annotations"]["uncensor.dev/retry"])
    assert values[0] != values[1]


def test_retry_of_a_run_that_is_not_stalled_is_refused(runs, command):
    runs.recorded("running")
    done = command("retry", "my-run")
    assert done.returncode == 1
    assert "my-run is not stalled (Running)" in done.stderr
    assert "annotations" not in runs.get()["metadata"]


def test_report_compares_before_and_after(runs, command, namespace):
    runs.recorded("succeeded")
    done = command("report", "my-run")
    assert "52 % before, 0 % after" in done.stdout
    assert f"report my-run -n {namespace.name} --download report.html" in done.stdout
    assert json.loads(command("report", "my-run", "--json").stdout)["page"] == {
        "claim": "my-run-workspace",
        "path": "runs/my-run/report/index.html",
    }


def test_a_run_without_results_says_how_far_it_is(runs, command):
    runs.recorded("running")
    done = command("report", "my-run")
    assert done.returncode == 1
    assert "my-run has no results yet (Running, stage train)" in done.stderr


def test_without_rights_the_server_is_quoted(runs, cluster, namespace, tmp_path):
    path = cluster.account_kubeconfig(namespace.name, "default", tmp_path / "poor.kubeconfig")
    done = uncensor("top", "--once", "-n", namespace.name, "--kubeconfig", path, cwd=tmp_path)
    assert done.returncode == 1
    assert "does not let you (403)" in done.stderr
    assert f"system:serviceaccount:{namespace.name}:default" in done.stderr


def test_wrong_credentials_ask_for_a_login(runs, cluster, tmp_path):
    config = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    for user in config["users"]:
        user["user"] = {"token": "wrong"}
    path = tmp_path / "wrong.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    done = uncensor("top", "--once", "--kubeconfig", path, cwd=tmp_path)
    assert done.returncode == 1
    assert "does not accept your credentials (401)" in done.stderr


def test_a_certificate_of_another_authority_is_told(cluster, tmp_path):
    config = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    for one in config["clusters"]:
        one["cluster"] = {"server": one["cluster"]["server"]}
    path = tmp_path / "unknown.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    done = uncensor("top", "--once", "--kubeconfig", path, cwd=tmp_path)
    assert done.returncode == 1
    assert "not signed by the authority that the kubeconfig names" in done.stderr


def test_kubectl_finds_the_plugin(runs, cluster, namespace, tmp_path):
    runs.recorded("suspended")
    binaries = Path(sys.executable).parent
    done = subprocess.run(
        [cluster.programs.path("kubectl"), "uncensor", "status", "my-run", "-n", namespace.name],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "KUBECONFIG": str(cluster.kubeconfig),
        },
    )
    assert f"kubectl uncensor resume my-run -n {namespace.name}" in done.stdout
