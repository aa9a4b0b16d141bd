"""Schemas as components: one name each, every reference led to its place."""

from enum import StrEnum
from typing import Literal

import pytest
from msgspec import Struct
from pydantic import BaseModel

from service.description.components import (
    event_types,
    merged,
    nullable,
    of_events,
    of_model,
    of_structs,
    one_of,
    ref,
)


class Colour(StrEnum):
    """Of two."""

    RED = "red"
    BLUE = "blue"


class Apple(Struct, tag_field="kind", tag="apple"):
    """A fruit."""

    colour: Colour


class Pear(Struct, tag_field="kind", tag="pear"):
    """Another."""

    ripe: bool


class Basket(Struct):
    """Some fruit."""

    fruit: list[Apple | Pear]


class _Hidden(BaseModel):
    of: Literal["a"]


class Open(BaseModel):
    """A model with a part of its own."""

    hidden: _Hidden
    colour: Colour


def test_a_struct_brings_all_that_it_holds() -> None:
    parts = of_structs(Basket)
    assert set(parts) == {"Basket", "Apple", "Pear", "Colour"}
    assert parts["Apple"]["properties"]["colour"] == ref(Colour)
    assert parts["Apple"]["description"] == "A fruit."


def test_what_is_called_otherwise_is_referred_to_by_its_new_name() -> None:
    parts = of_structs(Basket, names={"Apple": "Windfall"})
    chosen = parts["Basket"]["properties"]["fruit"]["items"]
    assert ref("Windfall") in chosen["anyOf"]
    assert chosen["discriminator"]["mapping"]["apple"] == ref("Windfall")["$ref"]


def test_a_models_parts_are_named_after_whose_they_are() -> None:
    parts = of_model(Open, "Garden")
    assert set(parts) == {"GardenOpen", "GardenHidden", "GardenColour"}
    assert parts["GardenOpen"]["properties"]["hidden"] == ref("GardenHidden")


def test_an_enum_is_the_same_whoever_describes_it() -> None:
    assert of_structs(Apple)["Colour"] == of_model(Open)["Colour"]


def test_two_that_are_called_the_same_and_differ_are_a_mistake() -> None:
    assert merged({"A": {"type": "null"}}, {"A": {"type": "null"}}) == {"A": {"type": "null"}}
    with pytest.raises(ValueError, match="two components are called A"):
        merged({"A": {"type": "null"}}, {"A": {"type": "string"}})


def test_every_event_has_its_type_for_a_name() -> None:
    parts, types = of_events(), event_types()
    assert "text.delta" in types
    assert "ping" in types
    assert parts["EventTextDelta"]["properties"]["type"]["enum"] == ["text.delta"]
    assert len(parts["StreamEvent"]["oneOf"]) == len(types)


def test_a_choice_of_one_is_no_choice() -> None:
    assert one_of(ref("A")) == ref("A")
    assert one_of(ref("A"), ref("B")) == {"anyOf": [ref("A"), ref("B")]}
    assert nullable(ref("A")) == {"anyOf": [ref("A"), {"type": "null"}]}
