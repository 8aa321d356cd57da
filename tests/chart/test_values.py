"""Wrong values are refused before anything reaches a cluster, with the field named."""

import json

import pytest
import yaml

from support.charts import CHART, Helm, RefusedError
from uncensor_operator import chart_schema


def a_pool(**changes: object) -> dict:
    return {"settings": {"pools": [{"name": "x"} | changes]}}


WRONG = [
    ({"replica": 2}, "replica"),
    ({"replicas": "two"}, "replicas"),
    ({"replicas": -1}, "replicas"),
    ({"image": {"tags": "1"}}, "tags"),
    ({"image": {"digest": "sha256:12"}}, "digest"),
    ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    ({"namespaces": "team-a"}, "namespaces"),
    ({"namespaces": ["Team A"]}, "namespaces"),
    ({"namespaces": ["a", "a"]}, "namespaces"),
    ({"rbac": {"secrets": True}}, "secrets"),
    ({"crds": {"keep": "yes"}}, "keep"),
    ({"settings": {"namespaces": ["a"]}}, "namespaces"),
    ({"settings": {"retry": {}}}, "retry"),
    ({"settings": {"pools": []}}, "pools"),
    ({"settings": {"retries": {"firstSeconds": 0}}}, "firstSeconds"),
    ({"settings": {"engine": {"workers": 1.5}}}, "workers"),
    ({"settings": {"stages": {"bake": {"cpus": 1, "memory": "1Gi"}}}}, "bake"),
    ({"settings": {"stages": {"filter": {"cpus": 1}}}}, "memory"),
    ({"settings": {"trainerImage": {"pullPolicy": "No"}}}, "pullPolicy"),
    ({"settings": {"httpPort": 0}}, "httpPort"),
    (a_pool(name="A100"), "name"),
    (a_pool(gpu=4), "gpu"),
    (a_pool(gpus=-1), "gpus"),
    (a_pool(memory="lots"), "memory"),
    (a_pool(nodeLabels={"a": "b"}), "nodeLabels"),
    (a_pool(tolerations=[{"effect": "No"}]), "effect"),
    (a_pool(image={"pullPolicy": "Never"}), "reference"),
]


@pytest.mark.parametrize(("values", "field"), WRONG, ids=[json.dumps(one) for one, _ in WRONG])
def test_a_wrong_value_is_refused_by_name(helm: Helm, values: dict, field: str) -> None:
    with pytest.raises(RefusedError, match=rf"values don't meet[\s\S]*\b{field}\b"):
        helm.objects(values)


def test_the_schema_has_the_settings_of_the_operator() -> None:
    text = chart_schema_text()
    assert text == chart_schema.renewed(text), "run `make generate`"


def chart_schema_text() -> str:
    return (CHART / "values.schema.json").read_text()


def test_every_value_is_in_the_schema_and_every_field_of_the_schema_in_the_values() -> None:
    schema = json.loads(chart_schema_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(values)
    for name, about in schema["properties"].items():
        if about.get("additionalProperties") is False and name != "resources":
            assert set(about["properties"]) == set(values[name]), name


def test_every_value_is_explained() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    lines = (CHART / "values.yaml").read_text().splitlines()
    for name in values:
        at = next(number for number, line in enumerate(lines) if line.startswith(f"{name}:"))
        assert lines[at - 1].startswith("#") or lines[at + 1].startswith("  # --"), name


def test_no_object_of_the_schema_takes_what_it_does_not_know() -> None:
    def open_objects(schema: object, path: str) -> list[str]:
        if isinstance(schema, list):
            return [x for one in schema for x in open_objects(one, path)]
        if not isinstance(schema, dict):
            return []
        found = []
        if "properties" in schema and schema.get("additionalProperties") is not False:
            found.append(path)
        return found + [
            x for key, one in schema.items() for x in open_objects(one, f"{path}.{key}")
        ]

    assert open_objects(json.loads(chart_schema_text()), "") == []


def test_the_check_names_the_remedy(tmp_path, capsys) -> None:
    old = tmp_path / "values.schema.json"
    old.write_text("{}")

    assert chart_schema.main(["--check"], old) == 1

    assert "make generate" in capsys.readouterr().err
    assert chart_schema.main([], old) == 0
    assert chart_schema.main(["--check"], old) == 0
