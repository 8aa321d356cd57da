"""The operator's rights: one file, used by the chart and by the tests on a cluster."""

import pytest
import yaml

from support.charts import CHART, NAMESPACE, RELEASE, Helm, of_kind, only

RULES = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())


def granted(rules: list[dict]) -> set[tuple[str, str, str]]:
    """Triples of group, resource and verb."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


ALL = granted([rule for part in RULES.values() for rule in part])


def test_nothing_is_granted_by_a_wildcard() -> None:
    assert not [right for right in ALL if "*" in "".join(right)]


@pytest.mark.parametrize(
    "resource", ["secrets", "serviceaccounts", "serviceaccounts/token", "pods/exec", "roles"]
)
def test_what_would_give_more_than_a_pod_is_not_granted(resource: str) -> None:
    assert not [right for right in ALL if right[1] == resource]


def test_no_pod_is_made_or_changed_by_hand() -> None:
    assert {verb for _, resource, verb in ALL if resource == "pods"} <= {
        "get",
        "list",
        "watch",
        "delete",
    }


def test_a_workspace_is_never_deleted() -> None:
    assert ("", "persistentvolumeclaims", "delete") not in ALL


def test_runs_are_never_made_and_their_spec_is_not_replaced() -> None:
    verbs = {verb for _, resource, verb in ALL if resource == "uncensortrainings"}
    assert not verbs & {"create", "update", "deletecollection"}


def test_everywhere_means_one_cluster_role(helm: Helm) -> None:
    objects = helm.objects({"rbac": {"aggregate": False}})

    role = only(objects, "ClusterRole")
    assert granted(role["rules"]) == granted([*RULES["watched"], *RULES["cluster"]])
    (subject,) = only(objects, "ClusterRoleBinding")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": RELEASE, "namespace": NAMESPACE}


def test_namespaces_mean_a_role_in_each_and_none_beyond(helm: Helm) -> None:
    objects = helm.objects({"namespaces": ["team-a", "team-b"], "rbac": {"aggregate": False}})

    assert not of_kind(objects, "ClusterRole")
    assert not of_kind(objects, "ClusterRoleBinding")
    roles = {role["metadata"]["namespace"]: role for role in of_kind(objects, "Role")}
    assert set(roles) == {"team-a", "team-b", NAMESPACE}
    for name in ("team-a", "team-b"):
        assert granted(roles[name]["rules"]) == granted(RULES["watched"])


def test_namespaces_with_nodes_add_the_nodes_alone(helm: Helm) -> None:
    values = {"namespaces": ["team-a"], "rbac": {"nodes": True, "aggregate": False}}
    role = only(helm.objects(values), "ClusterRole")
    assert granted(role["rules"]) == {("", "nodes", "get"), ("", "nodes", "list")}


def test_every_role_is_bound_to_the_operator(helm: Helm) -> None:
    objects = helm.objects({"namespaces": ["team-a", "team-b"]})
    bound = {
        (one["metadata"]["namespace"], one["roleRef"]["name"])
        for one in of_kind(objects, "RoleBinding")
    }
    roles = {
        (one["metadata"]["namespace"], one["metadata"]["name"]) for one in of_kind(objects, "Role")
    }
    assert bound == roles
    for one in of_kind(objects, "RoleBinding"):
        assert [subject["namespace"] for subject in one["subjects"]] == [NAMESPACE]


def test_the_lease_is_in_the_operators_own_namespace(helm: Helm) -> None:
    (role,) = of_kind(helm.objects({}), "Role")
    assert role["metadata"]["namespace"] == NAMESPACE
    assert granted(role["rules"]) == granted(RULES["own"])


def test_editors_and_viewers_of_namespaces_get_runs(helm: Helm) -> None:
    roles = {one["metadata"]["name"]: one for one in of_kind(helm.objects({}), "ClusterRole")}
    editor, viewer = roles[f"{RELEASE}-editor"], roles[f"{RELEASE}-viewer"]

    labels = editor["metadata"]["labels"]
    assert labels["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert labels["rbac.authorization.k8s.io/aggregate-to-admin"] == "true"
    assert ("uncensor.dev", "uncensortrainings", "create") in granted(editor["rules"])
    assert viewer["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert {verb for *_, verb in granted(viewer["rules"])} == {"get", "list", "watch"}


def test_rights_can_be_left_to_others(helm: Helm) -> None:
    kinds = {one["kind"] for one in helm.objects({"rbac": {"create": False}})}
    assert not kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}


def test_a_foreign_service_account_needs_its_name(helm: Helm) -> None:
    account = {"serviceAccount": {"create": False, "name": "mine"}}
    objects = helm.objects(account)
    assert not of_kind(objects, "ServiceAccount")
    (subject,) = only(objects, "ClusterRoleBinding")["subjects"]
    assert subject["name"] == "mine"
