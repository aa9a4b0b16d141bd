"""Every field of a request and of the settings is refused in our words, whatever is put there."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from adapters.request import (
    ChatRequest,
    Deadlines,
    FunctionSpec,
    JsonSchema,
    Latency,
    ProviderFilter,
    ReasoningOptions,
)
from service import complaints, validation
from service.settings import (
    Hedging,
    ModelSettings,
    PresetSettings,
    ProviderSettings,
    Row,
    Section,
    Server,
    Settings,
    SettingsError,
    Streams,
    Tiers,
    UseCaseSettings,
    Websocket,
    load,
)

THEIRS = ("Value error", "nput should", "after validation", "Tuple", "dictionary", "valid ", "dict")
"""Words of pydantic's, and ours for what is unknown."""

BAD: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    5,
    1.5,
    10**80,
    -(10**9),
    float("nan"),
    float("inf"),
    "",
    "no-such",
    "two\nlines",
    "x" * 3_000,
    [],
    [5],
    [""],
    ["x"] * 300,
    {},
    {"no": "such"},
    {"type": "no-such"},
)


def is_worded(message: str, field: str) -> None:
    """Field, value and what is allowed, short and without their words."""
    said, _, _ = message.partition(" (and ")
    assert field in said  # tiers name the one that is too low, and the one before
    assert (
        said.endswith((": missing", ": no such field"))
        or "; must be " in said
        or ("unknown key; known are" in said or " is not a name; " in said)
    )
    assert [word for word in THEIRS if word in said] == []
    assert "x" * 65 not in message


# --- Requests -------------------------------------------------------------------------------

NESTED: dict[str, type[BaseModel]] = {
    "": ChatRequest,
    "latency": Latency,
    "deadlines": Deadlines,
    "providers": ProviderFilter,
    "reasoning": ReasoningOptions,
}
FUNCTION = ("description", "name", "parameters", "strict")


def fields() -> Iterator[tuple[str, ...]]:
    """The path of every field of a request that is not a message's."""
    for parent, model in NESTED.items():
        for name in model.model_fields:
            yield (parent, name) if parent else (name,)
    for name in FUNCTION:
        yield ("tools", "0", "function", name)
    for name in ("name", "schema", "description", "strict"):
        yield ("response_format", "json_schema", name)


def request(path: tuple[str, ...], value: object) -> dict[str, Any]:
    """A request that has a value there."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}
    match path:
        case ("tools", _, _, name):
            function = {"name": "f", name: value}
            return {**body, "tools": [{"type": "function", "function": function}]}
        case ("response_format", form, name):
            schema = {"name": "n", "schema": {}, name: value}
            return {**body, "response_format": {"type": form, form: schema}}
        case (parent, name):
            return {**body, parent: {name: value}}
        case _:
            return {**body, path[0]: value}


def from_json(body: dict[str, Any]) -> ChatRequest:
    return ChatRequest.model_validate_json(to_json(body, inf_nan_mode="constants"))


@pytest.mark.parametrize("path", list(fields()), ids=".".join)
@pytest.mark.parametrize("read", [from_json, ChatRequest.model_validate], ids=["json", "parsed"])
def test_each_field_of_a_request_is_refused_in_our_words(
    path: tuple[str, ...], read: Callable[[dict[str, Any]], ChatRequest]
) -> None:
    refused = 0
    for value in BAD:
        try:
            read(request(path, value))
        except ValidationError as failure:
            error = validation.of_validation(failure)
            is_worded(error.message, ".".join(path).replace(".0", "[0]"))
            assert error.message.startswith(f"{error.param}: ")
            refused += 1
    assert refused


def test_no_field_of_a_tool_or_a_format_is_left_out() -> None:
    assert set(FUNCTION) == set(FunctionSpec.model_fields)
    assert {"name", "body", "description", "strict"} == set(JsonSchema.model_fields)


# --- Settings -------------------------------------------------------------------------------

SECTIONS: dict[str, type[Section]] = {
    "": Settings,
    "server": Server,
    "streams": Streams,
    "websocket": Websocket,
    "hedging": Hedging,
    "tiers": Tiers,
    "providers.groq": ProviderSettings,
    "providers.groq.models.0": ModelSettings,
    "use_cases.expert": UseCaseSettings,
    "use_cases.expert.premium": Row,
    "presets.poet": PresetSettings,
}


def keys() -> Iterator[str]:
    """Every key of the settings, and the tables that have names of their own."""
    for parent, section in SECTIONS.items():
        if parent:
            yield parent
        for name in section.model_fields:
            yield f"{parent}.{name}".removeprefix(".")


def flag(key: str, value: object) -> dict[str, object]:
    """The settings that have a value there."""
    table, models, name = key.partition(".models.0")
    if not models:
        return {key: value}
    model = {"id": "m", name.removeprefix("."): value} if name else value
    return {f"{table}.models": [model]}


@pytest.mark.parametrize("key", sorted(set(keys())))
def test_each_key_of_the_settings_is_refused_in_our_words(key: str) -> None:
    refused = 0
    for value in BAD:
        try:
            load(None, {}, flag(key, value))
        except SettingsError as failure:
            is_worded(str(failure), key.partition(".models.0")[0])
            refused += 1
    assert refused


# --- Values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (False, "false"),
        (-2.5, "-2.5"),
        (float("nan"), "nan"),
        ("a\nb", r"'a\nb'"),
        ("x" * 65, f"'{'x' * 63}…'"),
        ([], "[]"),
        (["a", 5, True], "['a', 5, true]"),
        (["x" * 64], "that array of 1 items"),
        ([{"key": "test-key-groq"}], "that array of 1 items"),
        ({"key": "test-key-groq"}, "that object"),
    ],
)
def test_a_value_is_shown_as_far_as_it_is_short(value: object, written: str) -> None:
    assert complaints.shown(value) == written


def test_a_number_too_long_to_be_written_is_not() -> None:
    assert complaints.shown(10**5_000) == "that number"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("test-key-groq", "that string"),
        (5050505, "that number"),
        (5.5, "that number"),
        (["test-key-groq"], "that array of 1 items"),
        ({}, "that object"),
    ],
)
def test_of_a_hidden_value_only_its_kind_is_shown(value: object, written: str) -> None:
    assert complaints.shown(value, hidden=True) == written


def test_the_innermost_of_several_faults_are_told() -> None:
    places = [(), ("a",), ("a", 0), ("a", 0, "b"), ("c",)]
    assert complaints.innermost(places) == {("a", 0, "b"), ("c",)}
    assert complaints.innermost([()]) == {()}
