"""JSON Schema in the form that Gemini takes."""
from __future__ import annotations

from typing import Any, Dict

import pytest
from openai_compat.builders import STRICT, declared_schema

PYDANTIC = {
    "$defs": {
        "Colour": {"enum": ["red", "green"], "title": "Colour", "type": "string"},
        "Cat": {"properties": {"kind": {"const": "cat", "title": "Kind", "type": "string"}}, "required": ["kind"],
                "title": "Cat", "type": "object"},
        "Dog": {"properties": {"kind": {"const": "dog", "title": "Kind", "type": "string"}}, "required": ["kind"],
                "title": "Dog", "type": "object"},
    },
    "additionalProperties": False,
    "properties": {
        "age": {"anyOf": [{"exclusiveMinimum": 0, "multipleOf": 2, "type": "integer"}, {"type": "null"}],
                "default": None, "title": "Age"},
        "colour": {"$ref": "#/$defs/Colour"},
        "pair": {"maxItems": 2, "minItems": 2, "prefixItems": [{"type": "integer"}, {"type": "string"}],
                 "type": "array"},
        "tags": {"items": {"type": "string"}, "type": "array", "uniqueItems": True},
        "by_name": {"additionalProperties": {"type": "number"}, "propertyNames": {"pattern": "^a"}, "type": "object"},
        "pet": {"discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}},
                "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "title": "Pet"},
        "when": {"examples": ["now"], "format": "date-time", "type": "string"},
        "any": {"title": "Any"},
    },
    "required": ["colour", "pair", "pet"], "title": "Thing", "type": "object",
}


def test_a_schema_of_pydantic_is_sent_unchanged() -> None:
    assert declared_schema(PYDANTIC) == PYDANTIC


def test_a_schema_for_strict_mode_is_sent_unchanged() -> None:
    assert declared_schema(STRICT) == STRICT


def test_property_names_are_not_read_as_keywords() -> None:
    schema = {"type": "object", "properties": {
        "$ref": {"type": "string"}, "definitions": {"type": "string"}, "$defs": {"type": "string"},
        "items": {"type": "array", "items": {"type": "string"}}, "additionalProperties": {"type": "boolean"}}}
    assert declared_schema(schema) == schema


def test_data_in_a_schema_is_not_converted() -> None:
    data = {"a": {"$ref": "#/x", "definitions": 1, "items": []}}
    schema = {"type": "object", "properties": {"a": {"default": data, "enum": [data["a"]], "const": data["a"]}}}
    assert declared_schema(schema) == schema


def test_required_may_stand_without_properties() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"required": ["x"]}}}
    assert declared_schema(schema) == schema


def test_a_reference_has_no_keywords_beside_it() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A", "description": "the one"}},
              "$defs": {"A": {"type": "string"}}}
    assert declared_schema(schema)["properties"]["a"] == {"anyOf": [{"$ref": "#/$defs/A"}], "description": "the one"}
    schema["properties"]["a"] = {"$ref": "#/$defs/A", "anyOf": [{"maxLength": 1}]}
    assert declared_schema(schema)["properties"]["a"] == {"allOf": [{"$ref": "#/$defs/A"}], "anyOf": [{"maxLength": 1}]}


@pytest.mark.parametrize("reference, schema", [
    ("#/definitions/A", {"properties": {"a": {"$ref": "#/definitions/A"}}, "definitions": {"A": {"type": "null"}}}),
    ("#/properties/A", {"properties": {"a": {"$ref": "#/properties/A"}, "A": {"type": "null"}}}),
    ("in definitions", {"properties": {"a": {"$ref": "#/definitions/B/properties/A"}},
                        "definitions": {"B": {"properties": {"A": {"type": "null"}}}}}),
    ("escaped", {"properties": {"a": {"$ref": "#/%24defs/x~1A"}}, "$defs": {"x/A": {"type": "null"}}}),
    ("in a list", {"properties": {"a": {"$ref": "#/anyOf/0"}}, "anyOf": [{"type": "null"}]}),
])
def test_every_reference_leads_into_defs_wherever_its_target_was(reference: str, schema: Dict[str, Any]) -> None:
    found = declared_schema({"type": "object", **schema})
    name = found["properties"]["a"]["$ref"][len("#/$defs/"):]
    assert found["$defs"] == {name: {"type": "null"}} and "definitions" not in found


def test_two_definitions_of_one_name_are_both_kept() -> None:
    found = declared_schema({
        "type": "object", "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/definitions/A"}},
        "$defs": {"A": {"type": "string"}}, "definitions": {"A": {"type": "null"}}})
    assert found["$defs"] == {"A": {"type": "string"}, "A_": {"type": "null"}}
    assert found["properties"] == {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A_"}}


def test_a_root_that_is_a_reference_gets_the_keywords_of_its_target() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    assert declared_schema({"$ref": "#/$defs/Node", "$defs": {"Node": node}, "description": "a list"}) == {
        **node, "$defs": {"Node": node}, "description": "a list"}


@pytest.mark.parametrize("reference", ["#", "#/$defs/Node"])
def test_a_property_of_its_own_type_is_not_required(reference: str) -> None:
    def node() -> Dict[str, Any]:
        return {"type": "object", "required": ["name", "next", "all"], "properties": {
            "name": {"type": "string"}, "next": {"anyOf": [{"$ref": reference}, {"type": "null"}]},
            "all": {"type": "array", "items": {"$ref": reference}}}}
    found = declared_schema({**node(), "$defs": {"Node": node()}})
    assert [body["required"] for body in found["$defs"].values()] == [["name"]]


def test_a_property_that_leads_back_through_another_type_is_not_required() -> None:
    def one(other: str) -> Dict[str, Any]:
        return {"type": "object", "properties": {"x": {"$ref": "#/$defs/" + other}}, "required": ["x"]}
    found = declared_schema({
        "type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"],
        "$defs": {"A": one("B"), "B": one("A"), "C": one("D"), "D": {"type": "null"}}})
    assert found["required"] == ["a"] and found["$defs"]["A"]["required"] == found["$defs"]["B"]["required"] == []


def test_a_tuple_of_the_older_form_gets_prefix_items() -> None:
    found = declared_schema({"type": "object", "properties": {
        "a": {"type": "array", "items": [{"type": "string"}], "additionalItems": {"type": "null"}},
        "b": {"type": "array", "items": [{"items": [{}]}]}}})
    assert found["properties"] == {
        "a": {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "null"}},
        "b": {"type": "array", "prefixItems": [{"prefixItems": [{}]}]}}


@pytest.mark.parametrize("reference", ["#/$defs/B", "other.json", 3, "#/type/0", ["#"], {"a": 1}])
def test_a_reference_to_nothing_is_an_error_that_names_the_tool(reference: Any) -> None:
    with pytest.raises(ValueError, match=r"tools\[0\]\.function\.parameters refers to"):
        declared_schema({"type": "object", "properties": {"a": {"$ref": reference}}})


def test_a_root_that_refers_to_a_schema_for_anything_takes_anything() -> None:
    assert declared_schema({"$ref": "#/$defs/A", "$defs": {"A": True}}) == {}


def test_a_long_chain_of_definitions_is_converted_and_only_what_leads_back_loses_its_duty() -> None:
    count = 1000
    chain: Dict[str, Any] = {f"D{number}": {
        "properties": {"next": {"$ref": f"#/$defs/D{number + 1}"}, "first": {"$ref": "#/$defs/D0"}},
        "required": ["next", "first"]} for number in range(count)}
    chain[f"D{count}"] = {"type": "string"}
    found = declared_schema({"properties": {"all": {"$ref": "#/$defs/D0"}}, "required": ["all"], "$defs": chain})
    required = [found["$defs"][f"D{number}"]["required"] for number in range(count)]
    assert required == [[]] * (count - 1) + [["next"]]
