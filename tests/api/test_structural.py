"""What a CRD cannot say is an error of the generator, with its path."""

from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field

from uncensor_operator.api.base import VALIDATIONS, ApiModel, ListMap, ListSet, Rule
from uncensor_operator.api.structural import NotStructuralError, structural_schema


class Union(ApiModel):
    field: int | str


class Anything(ApiModel):
    field: Any


class Pair(ApiModel):
    field: tuple[int, str]


class Exclusive(ApiModel):
    field: Annotated[int, Field(gt=0)]


class Below(ApiModel):
    child: Union


class Recursive(ApiModel):
    child: "Recursive | None" = None


@pytest.mark.parametrize(
    ("model", "path", "word"),
    [
        pytest.param(Union, "Union.field", "union", id="a union"),
        pytest.param(Below, "Below.child.field", "union", id="a union deep inside"),
        pytest.param(Anything, "Anything.field", "type", id="anything"),
        pytest.param(Pair, "Pair.field", "prefixItems", id="a pair"),
        pytest.param(Exclusive, "Exclusive.field", "exclusiveMinimum", id="an exclusive bound"),
        pytest.param(Recursive, "Recursive.child", "itself", id="recursion"),
    ],
)
def test_what_has_no_structural_form_is_an_error(model, path, word):
    with pytest.raises(NotStructuralError, match=word) as caught:
        structural_schema(model)
    assert str(caught.value).startswith(f"{path}")


class Leaf(ApiModel):
    """A leaf."""

    rules: ClassVar[tuple[Rule, ...]] = (Rule("self.size > 1", "of the type", lambda one: True),)

    name: Annotated[str, Field(max_length=8)]
    """Name of
    the leaf."""
    size: Annotated[int, Field(ge=0, le=9)] = 3
    shade: Annotated[str, Field(max_length=4)] | None = None


class Tree(ApiModel):
    """A tree."""

    leaf: Annotated[Leaf, Rule("self.size > 2", "of the field", lambda one: True)] = Leaf(name="a")
    """The first leaf."""
    leaves: Annotated[tuple[Leaf, ...], Field(max_length=4), ListMap("name")] = ()
    words: Annotated[tuple[str, ...], Field(max_length=4), ListSet()] = ()


def test_a_field_takes_the_rules_and_keeps_its_own_words():
    leaf = structural_schema(Tree)["properties"]["leaf"]
    assert [rule["message"] for rule in leaf[VALIDATIONS]] == ["of the type", "of the field"]
    assert leaf["description"] == "The first leaf."
    assert leaf["default"] == {"name": "a", "size": 3}
    assert leaf["required"] == ["name"]


def test_docstrings_below_fields_become_descriptions_on_one_line():
    leaf = structural_schema(Leaf)
    assert leaf["description"] == "A leaf."
    assert leaf["properties"]["name"]["description"] == "Name of the leaf."


def test_optional_fields_lose_null():
    assert structural_schema(Leaf)["properties"]["shade"] == {"type": "string", "maxLength": 4}


def test_lists_keep_bounds_and_say_what_tells_items_apart():
    properties = structural_schema(Tree)["properties"]
    assert properties["leaves"]["maxItems"] == 4
    assert properties["leaves"]["x-kubernetes-list-map-keys"] == ["name"]
    assert properties["words"]["x-kubernetes-list-type"] == "set"


def test_generating_twice_gives_the_same():
    assert structural_schema(Tree) == structural_schema(Tree)
