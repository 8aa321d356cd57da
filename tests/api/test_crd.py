"""The generated CRD: up to date, small, structural, complete; and how it is generated."""

from collections.abc import Iterator
from typing import Any

import pytest
import re2
import yaml

from uncensor_operator import names
from uncensor_operator.api import crdgen
from uncensor_operator.api.documents import data_of, parsed
from uncensor_operator.api.fields import classes_of
from uncensor_operator.api.v1alpha1 import UncensorTraining

ALLOWED = {
    "type",
    "description",
    "default",
    "enum",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "required",
    "properties",
    "items",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
}


@pytest.fixture(scope="module")
def crd() -> dict[str, Any]:
    return yaml.safe_load((crdgen.ROOT / crdgen.CRD).read_text())


@pytest.fixture(scope="module")
def nodes(crd) -> dict[str, dict[str, Any]]:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return dict(walk(schema, ""))


def walk(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


def test_generated_files_are_up_to_date():
    assert crdgen.differences(crdgen.ROOT) == ""


def test_the_crd_fits_into_an_annotation_of_kubectl_apply():
    assert (crdgen.ROOT / crdgen.CRD).stat().st_size < 200_000


def test_names(crd):
    assert crd["metadata"]["name"] == "uncensortrainings.uncensor.dev"
    assert crd["spec"]["group"] == "uncensor.dev"
    assert crd["spec"]["scope"] == "Namespaced"
    assert crd["spec"]["names"]["shortNames"] == ["ut"]
    (version,) = crd["spec"]["versions"]
    assert (version["name"], version["served"], version["storage"]) == ("v1alpha1", True, True)
    assert version["subresources"] == {"status": {}}


def test_only_known_keywords_and_one_type_each(nodes):
    for path, node in nodes.items():
        assert set(node) <= ALLOWED, path
        assert node["type"] in {"object", "array", "string", "integer", "boolean"}, path
        assert ("properties" in node) == (node["type"] == "object"), path
        assert ("items" in node) == (node["type"] == "array"), path


def test_everything_is_bounded(nodes):
    for path, node in nodes.items():
        if node["type"] == "array":
            assert node["maxItems"] <= 64, path
        if node["type"] == "string" and path not in {".apiVersion", ".kind"}:
            assert "enum" in node or node["maxLength"] <= 2048, path
        if node["type"] == "integer":
            assert "minimum" in node, path
            assert path.startswith(".status") or "maximum" in node, path
            assert node["format"] in {"int32", "int64"}, path


def test_every_field_is_described(nodes):
    for path, node in nodes.items():
        if path.startswith(".metadata") or path.endswith("[]"):
            continue
        description = node["description"]
        assert len(description) > 5, path
        assert description.endswith("."), path
        assert "\n" not in description, path


def test_names_of_fields_are_camel_case(nodes):
    for path in nodes:
        name = path.rpartition(".")[2].removesuffix("[]")
        assert name == "" or (name.isalnum() and name[0].islower()), path


def test_defaults_are_complete_and_of_their_type(nodes):
    types = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    for path, node in nodes.items():
        if "default" not in node:
            continue
        assert type(node["default"]) is types[node["type"]], path
        if node["type"] == "object" and path != ".status":
            inner = {
                name: field["default"]
                for name, field in node["properties"].items()
                if "default" in field
            }
            # Rules look at defaults before the server fills in what is nested.
            assert {**inner, **node["default"]} == node["default"], path
            assert set(node.get("required", ())) <= set(node["default"]), path
        if node["type"] == "string" and "pattern" in node:
            assert re2.search(node["pattern"], node["default"]), path


def test_keys_of_list_maps_are_required(nodes):
    maps = {path: node for path, node in nodes.items() if "x-kubernetes-list-map-keys" in node}
    assert {".spec.datasets", ".status.conditions", ".status.stages"} <= set(maps)
    for path, node in maps.items():
        assert node["x-kubernetes-list-type"] == "map", path
        assert set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["required"]), path


def test_rules_have_sentences_and_look_back_only_where_they_can(nodes):
    for path, node in nodes.items():
        for rule in node.get("x-kubernetes-validations", ()):
            assert rule["message"], path
            assert "\n" not in rule["message"], path
            assert "oldSelf" not in rule["rule"] or "[]" not in path, path


def test_patterns_are_re2_and_anchored(nodes):
    for path, node in nodes.items():
        if pattern := node.get("pattern"):
            re2.compile(pattern)
            assert pattern.startswith("^"), path
            assert pattern.endswith("$"), path


def test_a_new_object_is_not_taken_for_a_finished_one(nodes):
    assert nodes[".status"]["default"] == {"observedGeneration": -1}
    assert nodes[".status.observedGeneration"]["default"] == -1


def test_columns_point_at_fields(crd, nodes):
    columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
    shown = [column["name"] for column in columns if "priority" not in column]
    assert shown == ["STAGE", "READY", "PROGRESS", "LOSS", "REFUSALS", "AGE"]
    wide = [column["name"] for column in columns if "priority" in column]
    assert wide == ["MODEL", "POOL", "NODES", "CHECKPOINT", "MESSAGE"]
    for column in columns:
        path = column["jsonPath"].replace('[?(@.type=="Ready")]', "[]")
        if not path.startswith(".metadata"):
            assert nodes[path]["type"] == column["type"], path


def test_yaml_of_old_and_new_readers_is_the_same(crd):
    text = (crdgen.ROOT / crdgen.CRD).read_text()
    (document,) = parsed(text)
    assert data_of(document.root) == crd


def test_every_model_is_reached_and_every_name_is_its_own():
    models = classes_of(UncensorTraining)
    assert len({model.__name__ for model in models}) == len(models)
    assert names.KIND in {model.__name__ for model in models}


def test_the_reference_names_every_field(nodes):
    page = (crdgen.ROOT / crdgen.REFERENCE).read_text()
    for path in nodes:
        if path.startswith((".spec", ".status")):
            assert f"`{path.rpartition('.')[2].removesuffix('[]')}`" in page or path.count(".") == 1


def test_check_tells_what_is_stale_and_write_mends_it(tmp_path, capsys):
    assert crdgen.main(["--check", "--root", str(tmp_path)]) == 1
    assert "+kind: CustomResourceDefinition" in capsys.readouterr().out
    assert crdgen.main(["--root", str(tmp_path)]) == 0
    assert crdgen.main(["--check", "--root", str(tmp_path)]) == 0
    path = tmp_path / crdgen.CRD
    path.write_text(path.read_text().replace("default: 42", "default: 43"))
    assert crdgen.main(["--check", "--root", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "-                    default: 43" in captured.out
    assert "make generate" in captured.err
