"""The AsyncAPI document: valid by AsyncAPI's own schema, whole, and without a part too many."""

import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from jsonschema import Draft7Validator

from service.description import asyncapi
from tests.clients.nodes import HOME
from tests.clients.programs import missing

SCHEMA = HOME / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.1.0.json"

NEWER = {"$defs", "$dynamicRef", "prefixItems", "dependentRequired", "dependentSchemas"} | {
    "unevaluatedProperties",
    "unevaluatedItems",
    "minContains",
    "maxContains",
}
"""Keywords that draft 07 does not have."""

DOCUMENT = asyncapi.document()


@pytest.fixture(scope="module")
def published() -> Draft7Validator:
    """AsyncAPI's own schema, as npm has it."""
    if not SCHEMA.is_file():
        missing("AsyncAPI's schemas are not installed: make clients")
    return Draft7Validator(orjson.loads(SCHEMA.read_bytes()))


def parts(of: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    yield of
    if isinstance(of, dict | list):
        for value in of.values() if isinstance(of, dict) else of:
            yield from parts(value)


def at(pointer: str) -> Any:  # noqa: ANN401 - any JSON
    found: Any = DOCUMENT
    for name in pointer.removeprefix("#/").split("/"):
        found = found[name]
    return found


def test_it_is_valid_asyncapi_3_1(published: Draft7Validator) -> None:
    assert [error.message for error in published.iter_errors(DOCUMENT)] == []


@pytest.mark.parametrize(
    ("pointer", "name", "value"),
    [
        ("#", "asyncapi", "4.0.0"),
        ("#/operations/streams.server", "action", "shout"),
        ("#/channels/streams/bindings/ws", "method", "CONNECT"),
        ("#/components/schemas/UiEnded", "type", "frame"),
    ],
)
def test_what_is_not_valid_is_noticed(
    published: Draft7Validator, pointer: str, name: str, value: str
) -> None:
    broken = copy.deepcopy(DOCUMENT)
    part = broken
    for step in pointer.split("/")[1:]:
        part = part[step]
    assert part[name] != value
    part[name] = value
    assert not published.is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    for part in parts(DOCUMENT):
        if isinstance(part, dict) and "$ref" in part:
            assert at(part["$ref"])


def test_every_component_is_referred_to_and_of_draft_07() -> None:
    named = {part["$ref"] for part in parts(DOCUMENT) if isinstance(part, dict) and "$ref" in part}
    for name, component in DOCUMENT["components"]["schemas"].items():
        assert f"#/components/schemas/{name}" in named
        Draft7Validator.check_schema(component)
        for part in parts(component):
            assert not (isinstance(part, dict) and NEWER & set(part)), name


def test_an_operation_s_messages_are_its_channel_s_and_each_is_of_one_at_least() -> None:
    used = set()
    for operation in DOCUMENT["operations"].values():
        channel = operation["channel"]["$ref"]
        several = [operation, *([operation["reply"]] if "reply" in operation else [])]
        for message in (each["$ref"] for part in several for each in part["messages"]):
            assert message.startswith(f"{channel}/messages/")
            used.add(message)
    assert used == {
        f"#/channels/{name}/messages/{key}"
        for name, channel in DOCUMENT["channels"].items()
        for key in channel["messages"]
    }


def test_it_says_who_sends_a_frame_from_the_service_s_side() -> None:
    for name, operation in DOCUMENT["operations"].items():
        side = "server" if name.endswith(".server") else "client"
        assert operation["action"] == {"server": "send", "client": "receive"}[side]
        for message in operation["messages"]:
            assert message["$ref"].rpartition("/")[2].startswith(f"{side}.")
