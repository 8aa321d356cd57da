"""What the chart makes of its values, by the real helm."""

import copy
import textwrap

import pytest
import yaml

from support.charts import (
    CHART,
    NAMESPACE,
    RELEASE,
    ROOT,
    Helm,
    RefusedError,
    of_kind,
    only,
    pod_of,
)
from uncensor_operator.api.reading import read
from uncensor_operator.api.unsupported import unsupported
from uncensor_operator.settings import read_settings

FULL = {
    "replicas": 2,
    "image": {"digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccount": {"annotations": {"example.com/role": "trainer"}},
    "podDisruptionBudget": {"enabled": True},
    "env": {"HTTPS_PROXY": "http://proxy.example:3128", "DEBUG": 1},
    "podLabels": {"team": "models"},
    "podAnnotations": {"example.com/scrape": "true"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"operator": "Exists"}],
    "priorityClassName": "system-cluster-critical",
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "DoNotSchedule",
        }
    ],
    "settings": {
        "trainerImage": {"reference": "registry.example/trainer@sha256:" + "1" * 64},
        "pools": [
            {"name": "a100", "profile": "aks-a100-80gb", "environment": {"NCCL_DEBUG": "INFO"}},
            {"name": "small", "cpus": 1.5, "memory": "2Gi"},
        ],
        "defaultPool": "small",
        "stages": {"filter": {"cpus": 0.5, "memory": "1Gi"}},
        "retries": {"firstSeconds": 0.5},
        "priorityClass": "low",
        "httpPort": 9090,
    },
}
NAMESPACED = {"namespaces": ["team-a", "team-b"]}
VALUES = [
    pytest.param({}, id="defaults"),
    pytest.param(FULL, id="everything set"),
    pytest.param(NAMESPACED, id="namespaced"),
    pytest.param({"crds": {"enabled": False}, "service": {"enabled": False}}, id="little"),
]


@pytest.mark.parametrize("values", VALUES)
def test_the_linter_is_content(helm: Helm, values: dict) -> None:
    said = helm.run("lint", CHART, "--strict", values=values)

    assert "0 chart(s) failed" in said


@pytest.mark.parametrize("values", VALUES)
def test_no_two_objects_have_the_same_name(helm: Helm, values: dict) -> None:
    names = [
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
        for one in helm.objects(values)
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("values", VALUES)
def test_every_object_says_whose_it_is(helm: Helm, values: dict) -> None:
    for one in helm.objects(values):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "uncensor-operator"
        assert labels["app.kubernetes.io/instance"] == RELEASE
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


def settings_of(helm: Helm, values: dict, folder) -> object:
    text = only(helm.objects(values), "ConfigMap")["data"]["settings.yaml"]
    (folder / "settings.yaml").write_text(text)
    return read_settings(folder / "settings.yaml")


@pytest.mark.parametrize("values", VALUES)
def test_the_operator_reads_the_rendered_settings(helm: Helm, values: dict, tmp_path) -> None:
    settings = settings_of(helm, values, tmp_path)

    assert settings.election.name == RELEASE
    assert settings.namespaces == tuple(values.get("namespaces", ()))


def test_settings_arrive_as_they_are_written(helm: Helm, tmp_path) -> None:
    settings = settings_of(helm, FULL, tmp_path)

    assert settings.trainer_image.reference == FULL["settings"]["trainerImage"]["reference"]
    assert settings.trainer_image.pull_policy == "IfNotPresent"
    assert settings.pool("a100").gpus == 4
    assert settings.pool("a100").environment == {"NCCL_DEBUG": "INFO"}
    assert settings.pool(None).cpus == 1.5
    assert settings.stage("filter").cpus == 0.5
    assert settings.retries.first_seconds == 0.5
    assert settings.http_port == 9090


def test_by_default_the_trainer_is_of_the_same_release(helm: Helm, tmp_path) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]

    reference = settings_of(helm, {}, tmp_path).trainer_image.reference

    assert reference == f"ghcr.io/uncensor-dev/uncensor-trainer:{version}"


def test_the_chart_has_the_version_of_the_project(helm: Helm) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert f'version = "{chart["appVersion"]}"' in project
    assert chart["version"] == chart["appVersion"]


def test_every_commented_pool_is_one_that_the_operator_reads(helm: Helm, tmp_path) -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    examples = [line[6:] for line in lines if line.startswith(("    # - ", "    #   "))]
    pools = yaml.safe_load("\n".join(examples))
    assert len(pools) == 5
    for number, pool in enumerate(pools):
        one = settings_of(helm, {"settings": {"pools": [pool]}}, tmp_path).pools[0]
        assert one.gpus in {4, 8}, number


def test_a_change_of_settings_rolls_the_deployment(helm: Helm) -> None:
    def mark(values: dict) -> str:
        template = only(helm.objects(values), "Deployment")["spec"]["template"]
        return template["metadata"]["annotations"]["uncensor.dev/settings"]

    changed = {"settings": {"retries": {"firstSeconds": 7}}}
    assert mark({}) == mark({"replicas": 2})
    assert mark({}) != mark(changed)
    assert mark({}) != mark(NAMESPACED)


@pytest.mark.parametrize("values", VALUES)
def test_the_pods_satisfy_pod_security_restricted(helm: Helm, values: dict) -> None:
    # The rules of https://kubernetes.io/docs/concepts/security/pod-security-standards/.
    pod = pod_of(helm.objects(values))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all(set(volume) - {"name"} <= {"configMap", "emptyDir"} for volume in pod["volumes"])
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert all("hostPort" not in port for port in container["ports"])


def test_probes_and_the_service_go_to_the_port_of_the_settings(helm: Helm) -> None:
    objects = helm.objects(FULL)
    (container,) = pod_of(objects)["containers"]

    assert container["ports"] == [{"name": "http", "containerPort": 9090}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    (port,) = only(objects, "Service")["spec"]["ports"]
    assert port == {"name": "http", "port": 9090, "targetPort": "http"}


def test_the_pod_knows_itself_and_its_settings(helm: Helm) -> None:
    pod = pod_of(helm.objects({}))
    (container,) = pod["containers"]
    variables = {one["name"]: one for one in container["env"]}

    assert variables["UNCENSOR_SETTINGS"]["value"] == "/etc/uncensor-operator/settings.yaml"
    assert variables["POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert variables["POD_NAMESPACE"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"
    assert {"name": "settings", "mountPath": "/etc/uncensor-operator", "readOnly": True} in (
        container["volumeMounts"]
    )
    assert container["resources"]["limits"]["memory"] == "512Mi"
    assert pod["terminationGracePeriodSeconds"] == 30


def test_a_digest_goes_before_the_tag(helm: Helm) -> None:
    values = {"image": {"repository": "r.example/o", "tag": "2", "digest": "sha256:" + "a" * 64}}
    (container,) = pod_of(helm.objects(values))["containers"]
    assert container["image"] == "r.example/o@sha256:" + "a" * 64


def test_variables_are_text_whatever_they_look_like(helm: Helm) -> None:
    (container,) = pod_of(helm.objects(FULL))["containers"]
    assert {"name": "DEBUG", "value": "1"} in container["env"]


def generated_crd() -> dict:
    (file,) = (ROOT / "crds").glob("*.yaml")
    return yaml.safe_load(file.read_text())


def test_the_crd_is_the_generated_one_and_is_kept(helm: Helm) -> None:
    crd = only(helm.objects({}), "CustomResourceDefinition")

    wanted = generated_crd()
    assert crd["spec"] == wanted["spec"]
    assert crd["metadata"]["name"] == wanted["metadata"]["name"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_the_crd_goes_with_the_chart_on_request(helm: Helm) -> None:
    crd = only(helm.objects({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "annotations" not in crd["metadata"]


def test_the_crd_can_be_left_to_others(helm: Helm) -> None:
    assert not of_kind(helm.objects({"crds": {"enabled": False}}), "CustomResourceDefinition")


def test_a_package_holds_the_crd_and_renders_the_same(helm: Helm, tmp_path) -> None:
    helm.run("package", CHART, "--destination", tmp_path)

    (package,) = tmp_path.glob("*.tgz")
    assert helm.objects(FULL, package) == helm.objects(FULL)
    assert of_kind(helm.objects({}, package), "CustomResourceDefinition")


def test_an_older_kubernetes_is_refused(helm: Helm) -> None:
    with pytest.raises(RefusedError, match=r"1\.28"):
        helm.objects({}, CHART, "--kube-version", "1.28.0")
    assert helm.objects({}, CHART, "--kube-version", "v1.29.3-gke.100")


def test_a_name_of_another_release_is_its_own(helm: Helm) -> None:
    values = copy.deepcopy(FULL) | {"fullnameOverride": "other"}
    deployment = only(helm.objects(values), "Deployment")
    assert deployment["metadata"]["name"] == "other"
    assert deployment["metadata"]["namespace"] == NAMESPACE


@pytest.mark.parametrize("values", [{}, NAMESPACED, FULL])
def test_the_notes_hold_a_first_run_that_is_valid(helm: Helm, values: dict, tmp_path) -> None:
    words = ["install", RELEASE, CHART, "--namespace", NAMESPACE, "--dry-run=client"]
    said = helm.run(*words, values=values).partition("NOTES:")[2]
    manifest = textwrap.dedent(said.partition("<<'YAML'\n")[2].partition("  YAML\n")[0])
    (tmp_path / "first.yaml").write_text(manifest)

    (document,) = read([str(tmp_path / "first.yaml")])

    assert document.problems == ()
    assert unsupported(document.training) == ()
    pools = values.get("settings", {}).get("pools", [{"name": "cpu"}])
    wanted = values.get("settings", {}).get("defaultPool", pools[0]["name"])
    assert document.training.spec.compute.pool == wanted
