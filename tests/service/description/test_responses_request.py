"""What the Responses API is said to take, against what it takes."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from adapters.errors import RequestError
from service.description.responses_request import COMPACTION_REQUEST, REQUEST
from service.dialects.responses import Responses
from service.dialects.responses_compaction import TAKEN
from tests.service.description.shapes import published
from tests.service.dialects.responses_streams import no_turn

CALL = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}


def described(sent: dict[str, Any], name: str = REQUEST) -> bool:
    body = {"$ref": f"#/components/schemas/{name}", **published()}
    return Draft202012Validator(body).is_valid(sent)


def taken(sent: dict[str, Any]) -> bool:
    try:
        Responses(no_turn).read(sent, {})
    except RequestError:
        return False
    return True


@pytest.mark.parametrize(
    ("fields", "served"),
    [
        ({}, True),
        ({"input": [{"role": "user", "content": "Hi."}]}, True),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi."}]}]}, True),
        ({"input": [{"role": "user"}]}, False),
        ({"input": [{"role": "judge", "content": "Hi."}]}, False),
        ({"input": [CALL, {"type": "function_call_output", "call_id": "c", "output": "x"}]}, True),
        ({"input": [CALL | {"arguments": 1}]}, False),
        ({"input": 1}, False),
        ({"tools": [{"type": "function", "name": "look", "parameters": {}}]}, True),
        ({"tools": [{"type": "function"}]}, False),
        ({"tools": [{"type": "web_search"}]}, False),
        ({"tool_choice": "auto"}, True),
        ({"tool_choice": "always"}, False),
        ({"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}}, True),
        ({"text": {"format": {"type": "json_schema"}}}, False),
        ({"reasoning": {"effort": "low"}}, True),
        ({"reasoning": {"effort": "endless"}}, False),
        ({"stream": "yes"}, False),
        ({"nobody_knows": 1}, True),
    ],
)
def test_what_is_described_is_what_is_taken(
    fields: dict[str, Any],
    served: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    sent = {"model": "auto", "input": "Hi."} | fields
    assert (described(sent), taken(sent)) == (served, served)


def test_a_compaction_is_described_by_the_fields_that_it_takes() -> None:
    request = published()["components"]["schemas"][COMPACTION_REQUEST]
    assert tuple(request["properties"]) == tuple(TAKEN)
    assert not described({"input": "Hi."}, COMPACTION_REQUEST)
