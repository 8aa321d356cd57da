"""What the operator creates: restricted pods, tokens for fetch alone, names that fit, shares."""

import ipaddress
import re

import pytest

from support.goldens import FOLDER, RUNS, STAGES, created, on_gpus, stage_of, text
from support.simulation import Simulation, a_spec, settings_with
from uncensor_operator.plan.naming import child_name
from uncensor_operator.profiles import PROFILES

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
REF = {"name": "hub", "key": "token"}
# Volumes that Pod Security `restricted` admits (kubernetes.io/docs, Pod Security Standards).
SECCOMP = ("RuntimeDefault", "Localhost")
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"}
VOLUMES |= {"persistentVolumeClaim", "projected", "secret"}


def pods(manifests):
    """Every pod template, with its stage and the kind of replica."""
    for one in manifests:
        if one["kind"] == "Job":
            yield stage_of(one), "", one["spec"]["template"]["spec"]
        for name, replica in (
            one["spec"].get("pytorchReplicaSpecs", {}).items() if "spec" in one else ()
        ):
            yield stage_of(one), name, replica["template"]["spec"]


def on_pool(profile, nodes=2):
    pool = {"name": "given", "profile": profile}
    gpus = PROFILES[profile]["gpus"]
    spec = a_spec(compute={"pool": "given", "nodes": nodes, "gpusPerNode": gpus})
    return Simulation(spec, settings_with(pools=[pool], defaultPool="given"))


@pytest.mark.parametrize("name", RUNS)
def test_manifests_are_as_they_were_written_down(name):
    run, stages = RUNS[name]
    wanted = (FOLDER / f"{name}.yaml").read_text()
    assert text(created(run()), *stages) == wanted, (
        "Manifests have changed. If that is meant: PYTHONPATH=tests python -m support.goldens, "
        "and look at the difference."
    )


def restricted_faults(pod):
    """What Pod Security `restricted` would refuse in a pod."""
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name))
    yield from (one["name"] for one in pod["volumes"] if set(one) - {"name"} - VOLUMES)
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        inner = container["securityContext"]
        merged = pod["securityContext"] | inner
        capabilities = inner.get("capabilities", {})
        holds = {
            "never root": merged.get("runAsNonRoot") is True and merged.get("runAsUser") != 0,
            "seccomp": merged.get("seccompProfile", {}).get("type") in SECCOMP,
            "no escalation": inner.get("allowPrivilegeEscalation") is False,
            "no privileges": not inner.get("privileged"),
            "no capabilities": capabilities == {"drop": ["ALL"]},
            "no port of the host": not any("hostPort" in one for one in container.get("ports", ())),
        }
        yield from (name for name, held in holds.items() if not held)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_pod_on_every_pool_is_restricted(profile):
    found = list(pods(created(on_pool(profile))))
    assert {stage for stage, _, _ in found} == set(STAGES)
    for stage, replica, pod in found:
        assert not list(restricted_faults(pod)), (stage, replica)
        assert pod["automountServiceAccountToken"] is False
        assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(
    "change",
    [
        lambda pod: pod["securityContext"].pop("runAsNonRoot"),
        lambda pod: pod["securityContext"].pop("seccompProfile"),
        lambda pod: pod["containers"][0]["securityContext"].pop("capabilities"),
        lambda pod: pod["containers"][0]["securityContext"].update(privileged=True),
        lambda pod: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        lambda pod: pod.update(hostNetwork=True),
    ],
)
def test_a_pod_that_is_not_restricted_would_be_seen(change):
    _, _, pod = next(pods(created(Simulation())))
    change(pod)
    assert list(restricted_faults(pod))


def test_tokens_are_mounted_where_sources_are_fetched_and_nowhere_else():
    given = {"repo": "owner/rows", "tokenSecretRef": {"name": "rows", "key": "key"}}
    spec = a_spec(
        model={"huggingFace": {"repo": "owner/model", "tokenSecretRef": REF}},
        datasets=[{"name": "rows", "huggingFace": given}],
    )
    secrets = {}
    for stage, _, pod in pods(created(Simulation(spec))):
        projected = [one["projected"] for one in pod["volumes"] if "projected" in one]
        secrets[stage] = [source["secret"] for one in projected for source in one["sources"]] + [
            one["secret"] for one in pod["volumes"] if "secret" in one
        ]
        assert not any("valueFrom" in one for one in pod["containers"][0]["env"])
    assert [(one["name"], one["items"]) for one in secrets.pop("fetch")] == [
        ("hub", [{"key": "token", "path": "owner--model"}]),
        ("rows", [{"key": "key", "path": "owner--rows"}]),
    ]
    assert not any(secrets.values())


@pytest.mark.parametrize("stage", [*STAGES, "train-control"])
@pytest.mark.parametrize("attempt", [1, 9999])
def test_names_of_pods_are_dns_labels_however_long_the_runs_name(stage, attempt):
    longest = "a" * 62 + "b"
    name = child_name(longest, stage, attempt)
    for pod in (f"{name}-worker-1023", f"{name}-master-0"):
        assert LABEL.fullmatch(pod)
        assert len(pod) <= 63


def test_long_names_that_differ_at_their_end_stay_different():
    names = {child_name("a" * 60 + end, "train", 1) for end in ("x", "y", "-z")}
    assert len(names) == 3


@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_a_training_has_one_master_and_a_worker_for_every_further_node(nodes):
    [job] = [one for one in created(on_pool("aks-a100-80gb", nodes)) if stage_of(one) == "train"]
    replicas = {name: one["replicas"] for name, one in job["spec"]["pytorchReplicaSpecs"].items()}
    assert replicas == ({"Master": 1} | ({"Worker": nodes - 1} if nodes > 1 else {}))
    assert job["spec"]["nprocPerNode"] == "4"


@pytest.mark.parametrize(("gpus", "share"), [(4, 1.0), (2, 0.5), (1, 0.25)])
def test_a_run_gets_the_share_of_a_node_that_its_gpus_are(gpus, share):
    profile = PROFILES["aks-a100-80gb"]
    spec = a_spec(compute={"pool": "a100-80gb", "nodes": 1, "gpusPerNode": gpus})
    found = {stage: pod for stage, _, pod in pods(created(Simulation(spec)))}
    given = found["train"]["containers"][0]["resources"]
    assert given["limits"]["nvidia.com/gpu"] == str(gpus)
    assert given["requests"]["cpu"] == f"{round(profile['cpus'] * share * 1000)}m"
    assert int(given["limits"]["memory"]) == int(800 * 2**30 * share)
    assert given["limits"]["memory"] == given["requests"]["memory"]
    assert "cpu" not in given["limits"]


def test_stages_without_gpus_leave_the_pools_nodes_alone():
    found = {stage: pod for stage, _, pod in pods(created(on_gpus()))}
    for stage in ("train", "probe", "evaluate"):
        assert "affinity" in found[stage], stage
        assert "nvidia.com/gpu" in found[stage]["containers"][0]["resources"]["limits"]
    for stage in ("fetch", "filter", "prepare", "report"):
        assert "affinity" not in found[stage], stage
        assert "nvidia.com/gpu" not in found[stage]["containers"][0]["resources"]["limits"]


def test_kueues_label_is_on_children_and_other_labels_of_people_are_not():
    for one in created(on_gpus()):
        labels = one["metadata"]["labels"]
        assert labels.get("kueue.x-k8s.io/queue-name") == ("gpus" if stage_of(one) else None)
        assert "team" not in labels


def allowed(policies, pod, address):
    """Whether a pod with these labels may open a connection to an address outside."""
    there = ipaddress.ip_address(address)
    for policy in policies:
        wanted = policy["spec"]["podSelector"]["matchLabels"]
        if not wanted.items() <= pod.items():
            continue
        for rule in policy["spec"].get("egress", ()):
            for peer in rule.get("to", ()):
                block = peer.get("ipBlock")
                if block is None or there.version != ipaddress.ip_network(block["cidr"]).version:
                    continue
                refused = [ipaddress.ip_network(one) for one in block["except"]]
                if not any(there in one for one in refused):
                    return True
    return False


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("address", "by_fetch"),
    [("93.184.216.34", True), ("2606:2800:220:1::1", True), ("169.254.169.254", False)],
)
def test_only_fetch_reaches_the_world_and_nothing_the_metadata_service(stage, address, by_fetch):
    found = created(Simulation())
    policies = [one for one in found if one["kind"] == "NetworkPolicy"]
    pod = {"uncensor.dev/run": "r", "uncensor.dev/stage": stage}
    assert allowed(policies, pod, address) is (by_fetch and stage == "fetch")


def test_policies_can_be_switched_off_by_the_administrator():
    found = created(Simulation(settings=settings_with(security={"networkPolicies": False})))
    assert not [one for one in found if one["kind"] == "NetworkPolicy"]


def test_a_claim_that_is_not_kept_belongs_to_its_run():
    [kept] = [one for one in created(Simulation()) if one["kind"] == "PersistentVolumeClaim"]
    [gone] = [one for one in created(on_gpus()) if one["kind"] == "PersistentVolumeClaim"]
    assert "ownerReferences" not in kept["metadata"]
    assert gone["metadata"]["ownerReferences"][0]["uid"] == "run-uid"
    assert kept["spec"]["accessModes"] == ["ReadWriteMany"]
    assert kept["spec"]["resources"] == {"requests": {"storage": "2Ti"}}


def test_everything_but_the_claim_goes_away_with_its_run():
    for one in created(Simulation()):
        owners = [ref["uid"] for ref in one["metadata"].get("ownerReferences", ())]
        assert owners == ([] if one["kind"] == "PersistentVolumeClaim" else ["run-uid"])
